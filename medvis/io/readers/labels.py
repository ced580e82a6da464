"""A picture file whose values are labels: as stored, palette indices instead of colours, alpha left out, upright."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from medvis.core.arrays import Array
from medvis.errors import InputError
from medvis.io.magic import HEAD
from medvis.io.readers.decoded import Decoded
from medvis.io.readers.flat import decoded_flat
from medvis.io.readers.raster import RasterReader
from medvis.io.readers.tiff import decoded_stack
from medvis.io.readers.tiff_stacks import directories_of


def decoded_labels(path: Path) -> Decoded:
    """The labels in a picture file of any kind that pictures or masks come in.

    Raises:
        InputError: unreadable, damaged, or of several pictures.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    kind = RasterReader().format_of(data[:HEAD], path)
    if kind is None:
        return _by_pillow(data, path)
    if kind != "tiff":
        return decoded_flat(data, kind, str(path), labels=True)
    directories = directories_of(data, str(path))
    frames = sum(len(stack.frames) for stack in directories.stacks)
    if frames > 1:
        raise InputError(f"{path} has {frames} pages", "one picture")
    return decoded_stack(data, directories, directories.stacks[0], str(path), labels=True)[0]


def _by_pillow(data: bytes, path: Path) -> Decoded:
    """GIF, PGM, WebP and whatever else Pillow knows."""
    from PIL import Image, ImageOps  # noqa: PLC0415 - only where masks are read

    try:
        with Image.open(io.BytesIO(data)) as image:
            frames, bands = getattr(image, "n_frames", 1), image.getbands()
            lossy = image.format == "WEBP" and data[12:16] != b"VP8L"
            values: Array = np.asarray(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read: {error}", "a picture") from error
    if frames > 1:
        raise InputError(f"{path} has {frames} frames", "one picture")
    if len(bands) == 2:
        values = values[..., 0]
    return Decoded(values if values.ndim == 2 else values[..., :3], 8 * values.dtype.itemsize, lossy=lossy)
