"""Identity in the pixels: text that was burned in, and overlays in the bits that the image does not use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from medvis.core.arrays import Array
from medvis.dicom.read.load import is_image
from medvis.dicom.read.values import number, text, whole
from medvis.errors import InputError
from medvis.ops.text_detection import TextBox, text_boxes

# Modalities that print the patient's name into the picture, unless the file says that this one does not.
PRINTED = frozenset(("US", "IVUS", "OT", "XC", "ES", "GM", "DOC", "OP", "SM", "SC", "EPS", "ECG"))
# Radiographs: letters of lead and of the console; looked at, but not refused.
MARKED = frozenset(("CR", "DX", "MG", "RF", "XA", "PX", "IO"))
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture and its multi-frame kin
_FRAMES = 5  # of a long clip, so many are looked at: what is printed stays where it is


def printed_reason(ds: Dataset) -> str | None:
    """Why an image may show the patient's name; None if nothing suggests it (Burned In Annotation, PS3.3 C.7.6.1)."""
    if not is_image(ds) or "PixelData" not in ds:
        return None
    annotation = text(ds, "BurnedInAnnotation")
    if annotation == "NO":
        return None
    if annotation == "YES":
        return "its header says that there is text in the picture"
    modality = text(ds, "Modality") or ""
    if modality in PRINTED or (text(ds, "SOPClassUID") or "").startswith(_CAPTURE):
        return f"its header does not say whether there is text in the picture ({modality or 'a captured screen'})"
    return None


def find_text(ds: Dataset, path: Path) -> list[TextBox]:
    """Lines of text in any of the frames that were looked at. Raises InputError if they cannot be decoded."""
    frames = _frames(ds, path)
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).astype(int))
    return sorted({box for index in chosen for box in text_boxes(frames[index])})


def black_out(ds: Dataset, boxes: list[TextBox], path: Path) -> None:
    """Paints boxes black in every frame, in place; the pixels are stored uncompressed afterwards. Raises InputError."""
    photometric = text(ds, "PhotometricInterpretation") or ""
    if photometric == "PALETTE COLOR":
        raise InputError(f"{path} has palette colours", "grey or RGB to black out text", "convert it first")
    frames = np.array(_frames(ds, path))
    colour = frames.ndim == 4
    black: Any = 0
    if photometric == "MONOCHROME1":
        black = 2 ** (whole(ds, "BitsStored") or 8) - 1 if frames.min() >= 0 else frames.max()
    elif frames.min() < 0:
        black = frames.min()
    for row0, col0, row1, col1 in boxes:
        frames[:, row0:row1, col0:col1] = black
    bits = whole(ds, "BitsStored") or frames.itemsize * 8
    named = "RGB" if colour else photometric
    values = frames if len(frames) > 1 else frames[0]
    ds.set_pixel_data(values, named, bits, generate_instance_uid=False)


def clear_hidden_overlays(ds: Dataset, path: Path) -> None:
    """Zeroes the bits above those of the image where an overlay is kept in them (retired, PS3.5 8.1.2). In place."""
    groups = {int(tag) >> 16 for tag in list(ds.keys()) if (int(tag) >> 16) & 0xFF01 == 0x6000}
    hidden = [
        group
        for group in groups
        if (group, 0x0102) in ds and (group, 0x3000) not in ds and ds[group, 0x0102].value  # Overlay Bit Position
    ]
    stored, allocated = whole(ds, "BitsStored"), whole(ds, "BitsAllocated")
    if not hidden or "PixelData" not in ds or stored is None or allocated != 16 or stored == 16:
        return
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        raise InputError(f"{path} keeps an overlay in the bits of compressed pixels", "pixels without one")
    high = int(number(ds, "HighBit") or stored - 1)
    used = ((1 << stored) - 1) << (high + 1 - stored)
    order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
    ds.PixelData = (np.frombuffer(ds.PixelData, f"{order}u2") & np.uint16(used)).astype(f"{order}u2").tobytes()


def _frames(ds: Dataset, path: Path) -> Array:
    """[frames, rows, cols] or [frames, rows, cols, 3] in RGB."""
    try:
        values = pixel_array(ds)
    except Exception as error:  # decoders raise whatever the broken bytes happen to lead to
        raise InputError(f"{path} has pixels that cannot be decoded: {' '.join(str(error).split())[:120]}") from error
    single = (whole(ds, "NumberOfFrames") or 1) == 1
    return values[None] if single else values
