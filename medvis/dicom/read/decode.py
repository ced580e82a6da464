"""Stored pixel values, frame by frame, through pydicom's decoders (native or compressed, PS3.5 8 and A.4).

The codecs are those of pydicom's plug-ins; what stands beside them here is what they lack: checks of a stream before a
decoder gets it (`jpeg`), streams that no plug-in bears (`lossless_jpeg`, `rle_deflate`), and encodings that writers and
the standard read differently (`repair`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import decoders
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medvis.core.arrays import Array
from medvis.dicom.read.jpeg import check_jpeg, check_jpeg2000, check_jpeg_size, may_be_ycbcr
from medvis.dicom.read.layout import Layout, syntax_name
from medvis.dicom.read.lossless_jpeg import decode_jpeg, needs_gdcm
from medvis.dicom.read.offsets import OFFSETS, without_wrong_offsets
from medvis.dicom.read.palette import Palette, palette_of
from medvis.dicom.read.repair import (
    PREDICTOR,
    WORDS,
    YCBCR,
    bits_in_order,
    is_ycbcr,
    mend_predictor_6,
    swap_words,
    uses_predictor_6,
    words_are_swapped,
)
from medvis.dicom.read.rle_deflate import decode_packed, is_packed
from medvis.dicom.read.values import put
from medvis.errors import InputError
from medvis.io.quiet import captured_stderr

_AGAIN = "copy or export it again"
DECODERS = {decoder.UID: decoder for decoder in vars(decoders).values() if isinstance(decoder, Decoder)}
_PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    RLELossless: "pydicom",
}
"""pydicom's plug-in for each syntax, if not pylibjpeg; those that survive broken streams (pylibjpeg's RLE panics)."""

_LENIENT = (JPEGBaseline8Bit, JPEGExtended12Bit)
"""Pillow bears all but a great size; CharLS looks long for a lost end."""


def stored_frames(
    ds: Dataset, layout: Layout, path: Path, notes: set[str] | None = None, only: Sequence[int] | None = None
) -> Iterator[Array]:
    """Yields frames as stored: [rows, cols], or RGB [rows, cols, 3] for colour and palettes.

    Args:
        ds: the data set.
        layout: of it.
        path: for messages.
        notes: gets a sentence for whatever had to be mended.
        only: the frames that are wanted, from 0; None: all.

    Raises:
        InputError: an unsupported transfer syntax, or pixel data that is truncated or corrupt.
    """
    _require_decoder(layout, path)
    palette, told = _palette(ds, layout, path), set[str]() if notes is None else notes
    told.update(() if palette is None else palette.notes)
    frames = _decoded(ds, layout, told, only)
    for index in range(layout.frames) if only is None else only:
        try:
            if not layout.native:
                with captured_stderr():
                    frame = next(frames)
            else:
                frame = next(frames)
            frame = aligned(frame, layout)
            if palette is not None:
                frame = palette.apply(frame)
        except StopIteration:
            raise InputError(f"{path} is truncated: {index} of {layout.frames} frames", hint=_AGAIN) from None
        except Exception as error:  # decoders raise whatever the broken bytes happen to lead to
            raise _explained(error, layout, path) from error
        if frame.shape[:2] != (layout.rows, layout.cols):
            raise InputError(f"{path}: frame {index + 1} is {frame.shape}", f"{layout.rows}x{layout.cols} pixels")
        yield frame


def _palette(ds: Dataset, layout: Layout, path: Path) -> Palette | None:
    if layout.photometric != "PALETTE COLOR":
        return None
    try:
        return palette_of(ds, layout.signed, path)
    except InputError:
        raise
    except Exception as error:  # pydicom raises whatever broken segments happen to lead to
        raise _explained(error, layout, path) from error


def believe_codestream(ds: Dataset, layout: Layout) -> bool:
    """Whether JPEG 2000 pixels are signed although Pixel Representation says unsigned; then sets it on `ds`.

    The decoder's numbers come from the codestream, so its sign is the one that fits them.
    """
    if layout.syntax not in JPEG2000TransferSyntaxes or layout.signed:
        return False
    try:
        first = _stream(ds, layout, 0)
    except Exception:  # a broken encapsulation is reported when the frames are decoded
        return False
    if not get_j2k_parameters(first).get("is_signed", False):
        return False
    ds.PixelRepresentation = 1
    return True


def believe_baseline(ds: Dataset, layout: Layout) -> Layout:
    """The layout with the 8 bits that JPEG baseline has (PS3.5 8.2.1), whatever the header says; sets them on `ds`."""
    if layout.syntax != JPEGBaseline8Bit or layout.allocated == 8:
        return layout
    for keyword, bits in (("BitsAllocated", 8), ("BitsStored", 8), ("HighBit", 7), ("PixelRepresentation", 0)):
        put(ds, keyword, bits)
    return replace(layout, allocated=8, bits=8, signed=False, shift=0)


def aligned(values: Array, layout: Layout) -> Array:
    """Values without the bits above High Bit and below the stored ones (PS3.5 8.1.1), with the sign of the stored ones.

    The unused bits of a cell may hold anything, in a compressed stream as well: an encoder that was given whole cells
    has encoded them too.
    """
    width = values.dtype.itemsize * 8
    above = width - layout.bits - layout.shift
    if values.dtype.kind not in "iu" or layout.allocated < 8 or above < 0 or not (above or layout.shift):
        return values
    if layout.signed and values.dtype.kind == "u":
        values = values.view(f"i{values.dtype.itemsize}")
    return np.right_shift(np.left_shift(values, above), above + layout.shift)


def _require_decoder(layout: Layout, path: Path) -> None:
    if is_packed(layout) or (layout.syntax in DECODERS and DECODERS[layout.syntax].is_available):
        return
    raise InputError(
        f"{path} is encoded as {syntax_name(layout.syntax)}, which is not supported",
        hint="convert it to Explicit VR Little Endian",
    )


def _decoded(ds: Dataset, layout: Layout, notes: set[str], only: Sequence[int] | None) -> Iterator[Array]:
    if layout.shift:
        put(ds, "BitsStored", layout.allocated)  # so that pydicom leaves the unused bits to `aligned`
    if not layout.native:
        if without_wrong_offsets(ds, layout):
            notes.add(OFFSETS)
        for index in range(layout.frames) if only is None else only:
            yield _compressed(ds, layout, index, notes)
        return
    bits_in_order(ds, layout)
    if layout.allocated == 1 and layout.rows * layout.cols * layout.samples % 8:
        yield from _whole(ds, layout, only)
        return
    swapped = words_are_swapped(ds, layout)
    if swapped is not None:
        notes.add(WORDS)
    for frame, _ in DECODERS[layout.syntax].iter_array(ds, indices=only, view_only=True, allow_excess_frames=False):
        yield swap_words(frame) if swapped else frame


def _whole(ds: Dataset, layout: Layout, only: Sequence[int] | None) -> Iterator[Array]:
    """Bits of frames that end within a byte, which pydicom 3.0 gets right only for all frames together."""
    every, _ = DECODERS[layout.syntax].as_array(ds)
    frames = every.reshape(layout.frames, *every.shape[-2 if layout.samples == 1 else -3 :])
    yield from frames if only is None else frames[list(only)]


def _compressed(ds: Dataset, layout: Layout, index: int, notes: set[str]) -> Array:
    stream = _stream(ds, layout, index)
    if is_packed(layout):
        return _as_rgb(aligned(decode_packed(stream, layout, ds.get("PlanarConfiguration") == 1), layout), layout)
    if needs_gdcm(layout):
        frame = _as_rgb(decode_jpeg(stream, layout), layout)
        mended = mend_predictor_6(frame) if uses_predictor_6(stream, layout) else None
        if mended is not None:
            notes.add(PREDICTOR)
        return frame if mended is None else mended
    if layout.syntax in JPEG2000TransferSyntaxes:
        check_jpeg2000(stream, layout)
    elif layout.syntax in _LENIENT:
        check_jpeg_size(stream, layout)
    elif layout.syntax != RLELossless:
        check_jpeg(stream, layout)
    plugin = _PLUGINS.get(layout.syntax, "pylibjpeg")
    try:
        frame = DECODERS[layout.syntax].as_array(ds, index=index, decoding_plugin=plugin)[0]
    except Exception:
        if plugin != "pyjpegls":
            raise
        return _as_rgb(decode_jpeg(stream, layout), layout)  # CharLS refuses what GDCM bears, such as bytes too many
    return _believed(frame, stream, layout, notes)


def _believed(frame: Array, stream: bytes, layout: Layout, notes: set[str]) -> Array:
    """YCbCr of a JPEG whose header says RGB as RGB."""
    if layout.syntax not in _LENIENT or layout.photometric != "RGB":
        return frame
    possible = may_be_ycbcr(stream)
    if possible is False or not (possible or is_ycbcr(frame)):
        return frame
    notes.add(YCBCR)
    return convert_color_space(frame, "YBR_FULL", "RGB")


def _stream(ds: Dataset, layout: Layout, index: int) -> bytes:
    """The compressed stream of a frame (PS3.5 A.4), by the extended offset table if there is one."""
    tables = (ds.get("ExtendedOffsetTable"), ds.get("ExtendedOffsetTableLengths"))
    extended = None if None in tables else tables
    return get_frame(ds.PixelData, index, number_of_frames=layout.frames, extended_offsets=extended)


def _as_rgb(frame: Array, layout: Layout) -> Array:
    """What pydicom does for the frames that it decodes."""
    ybr = layout.samples == 3 and layout.photometric.startswith("YBR_FULL")
    return convert_color_space(frame, layout.photometric, "RGB") if ybr else frame


def _explained(error: Exception, layout: Layout, path: Path) -> InputError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines = lines[1:]  # pydicom's headline over one line a plug-in
    reasons = [line for line in lines if "NoneType" not in line] or ["the compressed stream is broken"]
    return InputError(
        f"{path}: the pixel data ({syntax_name(layout.syntax)}) cannot be decoded: {shorten(reasons[0], 160)}",
        hint=_AGAIN,
    )
