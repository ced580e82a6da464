"""How the pixels of a data set are stored (PS3.3 C.7.6.3), with the gaps that real files leave filled in and noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, AllTransferSyntaxes

from medvis.errors import InputError
from medvis.io.dicom.load import PIXEL_KEYWORDS, require_image
from medvis.io.dicom.values import put, text, uid, value, whole

_LARGEST = 1 << 36
_ALIASES = {"MONOCHROME 1": "MONOCHROME1", "MONOCHROME 2": "MONOCHROME2", "PALETTE_COLOR": "PALETTE COLOR"}


@dataclass(frozen=True)
class Layout:
    """The Image Pixel attributes, checked.

    Attributes:
        frames, rows, cols: how many.
        samples: 1 or 3 stored values a pixel.
        photometric: Photometric Interpretation.
        allocated, bits: Bits Allocated and Bits Stored; of floats 32 or 64.
        signed: Pixel Representation is 1.
        floats: the pixels are floating point.
        syntax: Transfer Syntax UID.
    """

    frames: int
    rows: int
    cols: int
    samples: int
    photometric: str
    allocated: int
    bits: int
    signed: bool
    floats: bool
    syntax: UID

    @property
    def channels(self) -> int:
        """Of the scan that this becomes: 3 for colour, stored as such or through a palette, else 1."""
        return 3 if self.samples == 3 or self.photometric == "PALETTE COLOR" else 1


def layout_of(ds: Dataset, path: Path) -> tuple[Layout, list[str]]:
    """The layout, and a note for everything that had to be assumed. Missing attributes are set on `ds` as well.

    Raises:
        InputError: no image, or attributes that contradict each other.
    """
    require_image(ds, path)
    notes = list(_fill_gaps(ds))
    keyword = next(key for key in PIXEL_KEYWORDS if key in ds)
    allocated = whole(ds, "BitsAllocated") or 0
    layout = Layout(
        frames=max(whole(ds, "NumberOfFrames") or 1, 1),
        rows=whole(ds, "Rows") or 0,
        cols=whole(ds, "Columns") or 0,
        samples=whole(ds, "SamplesPerPixel") or 1,
        photometric=text(ds, "PhotometricInterpretation") or "MONOCHROME2",
        allocated=allocated,
        bits=whole(ds, "BitsStored") or allocated,
        signed=whole(ds, "PixelRepresentation") == 1,
        floats=keyword != "PixelData",
        syntax=UID(uid(ds.file_meta, "TransferSyntaxUID") or ""),
    )
    _check(layout, path)
    _check_length(layout, len(value(ds, keyword) or b""), path)
    return layout, notes


def syntax_name(uid: UID) -> str:
    """The name of a transfer syntax, or its UID if it has none."""
    return uid.name if uid in AllTransferSyntaxes else f"unknown transfer syntax {uid}"


def _check_length(layout: Layout, found: int, path: Path) -> None:
    """Native pixel data must be all there, before memory for it is asked for (PS3.5 8.1.1)."""
    native = layout.syntax in AllTransferSyntaxes and not layout.syntax.is_encapsulated
    needed = layout.frames * layout.rows * layout.cols * layout.samples * layout.allocated // 8
    if layout.photometric == "YBR_FULL_422":
        needed = needed * 2 // 3  # two pixels share their colour
    if native and found < needed:
        raise InputError(
            f"{path} is truncated: {found} of {needed} bytes of pixel data", hint="copy or export it again"
        )


def _fill_gaps(ds: Dataset) -> Iterator[str]:
    """Sets what a decoder cannot do without; yields a sentence for each."""
    samples = whole(ds, "SamplesPerPixel")
    photometric = (text(ds, "PhotometricInterpretation") or "").upper()
    if samples is None:
        samples = 3 if photometric.startswith(("RGB", "YBR")) else 1
        put(ds, "SamplesPerPixel", samples)
        yield f"Samples per Pixel is missing; {samples} was assumed"
    if not photometric:
        photometric = "RGB" if samples == 3 else "MONOCHROME2"
        yield f"Photometric Interpretation is missing; {photometric} was assumed"
    put(ds, "PhotometricInterpretation", _ALIASES.get(photometric, photometric))
    if samples == 3 and whole(ds, "PlanarConfiguration") is None:
        put(ds, "PlanarConfiguration", 0)
        yield "Planar Configuration is missing; colour by pixel was assumed"
    allocated = whole(ds, "BitsAllocated")
    if "PixelData" in ds and whole(ds, "BitsStored") is None and allocated is not None:
        put(ds, "BitsStored", allocated)
        yield "Bits Stored is missing; Bits Allocated was assumed"
    if "PixelData" in ds and whole(ds, "PixelRepresentation") not in (0, 1):
        put(ds, "PixelRepresentation", 0)
        yield "Pixel Representation is missing; unsigned was assumed"
    if whole(ds, "NumberOfFrames") == 0:
        del ds.NumberOfFrames
        yield "Number of Frames is 0; 1 was assumed"


def _check(layout: Layout, path: Path) -> None:
    if layout.samples not in (1, 3):
        raise InputError(f"{path} has {layout.samples} samples per pixel", "1 (grey or palette) or 3 (colour)")
    if layout.samples == 3 and layout.photometric.startswith(("MONOCHROME", "PALETTE")):
        raise InputError(f"{path} has 3 samples per pixel, but {layout.photometric}", "a consistent header")
    if not 1 <= layout.bits <= layout.allocated <= 64:
        raise InputError(
            f"{path} stores {layout.bits} bits in {layout.allocated}", "Bits Stored of 1 to Bits Allocated, at most 64"
        )
    if layout.frames * layout.rows * layout.cols > _LARGEST:
        raise InputError(
            f"{path} claims {layout.frames} frames of {layout.rows}x{layout.cols} pixels", "less than that"
        )
