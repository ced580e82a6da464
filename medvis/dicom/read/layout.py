"""How the pixels of a data set are stored (PS3.3 C.7.6.3), with the gaps that real files leave filled in and noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.uid import UID, AllTransferSyntaxes, RLELossless

from medvis.dicom.read.load import PIXEL_KEYWORDS, require_image
from medvis.dicom.read.values import put, text, uid, value, whole
from medvis.errors import InputError

_LARGEST = 1 << 36
_AGAIN = "copy or export it again"
_RLE_RATIO, _GREAT_RATIO, _GREAT_FRAME = 64, 2048, 1 << 25
_ALLOCATED = (1, 8, 16, 32, 64)
DEFLATED_FRAME = UID("1.2.840.10008.1.2.8.1")
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
        shift: how many unused bits lie below the stored ones, from High Bit.
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
    shift: int = 0

    @property
    def native(self) -> bool:
        """Whether the pixels are not encapsulated; False as well for an unknown transfer syntax."""
        return self.syntax in AllTransferSyntaxes and not self.syntax.is_encapsulated

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
    _check_frames(ds, path)
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
    layout, doubt = _with_shift(layout, whole(ds, "HighBit"))
    notes += doubt
    _check(layout, path)
    data = value(ds, keyword) or b""
    if not isinstance(data, bytes):
        raise InputError(f"{path}: {keyword} is not stored as bytes (VR {ds[keyword].VR})", "VR OB or OW", _AGAIN)
    _check_length(layout, data, path)
    return layout, notes


def _check_frames(ds: Dataset, path: Path) -> None:
    """One frame is assumed where the file names no number, but not where it names one that makes no sense."""
    element = ds.get_item("NumberOfFrames")
    declared = whole(ds, "NumberOfFrames")
    if element is not None and element.value and (declared is None or declared < 0):
        raise InputError(f"{path}: Number of Frames is not valid", "a whole number", _AGAIN)


def _with_shift(layout: Layout, high: int | None) -> tuple[Layout, list[str]]:
    """Where the stored bits lie in a cell; a codec's values have no unused bits below (PS3.5 8.1.1, 8.2)."""
    shift = 0 if high is None or layout.floats else high + 1 - layout.bits
    if shift == 0:
        return layout, []
    if (layout.native or layout.syntax == RLELossless) and 0 < shift <= layout.allocated - layout.bits:
        return replace(layout, shift=shift), []
    return layout, ["High Bit contradicts Bits Stored and was ignored"]


def syntax_name(uid: UID) -> str:
    """The name of a transfer syntax, or its UID if it has none."""
    if uid == DEFLATED_FRAME:
        return "Deflated Image Frame Compression"
    return uid.name if uid in AllTransferSyntaxes else f"unknown transfer syntax {uid}"


def _check_length(layout: Layout, data: bytes, path: Path) -> None:
    """Pixel data must be all there, as far as one can tell, before memory is asked for (PS3.5 8.1.1, A.4)."""
    frame = layout.rows * layout.cols * layout.samples * layout.allocated // 8
    if not layout.native:
        _check_fragments(layout, data, frame, path)
        return
    needed = layout.frames * layout.rows * layout.cols * layout.samples * layout.allocated // 8
    if layout.photometric == "YBR_FULL_422":
        needed = needed * 2 // 3  # two pixels share their colour
    if len(data) < needed:
        raise InputError(f"{path} is truncated: {len(data)} of {needed} bytes of pixel data", hint=_AGAIN)


def _check_fragments(layout: Layout, data: bytes, frame: int, path: Path) -> None:
    """A fragment for each frame, and enough bytes for what a codec can make of them at most.

    RLE makes 128 bytes of 2; the others have no useful limit, so that only great frames are doubted.
    """
    fragments = _fragments(data)
    if fragments is not None and fragments < layout.frames:
        raise InputError(f"{path} is truncated: {fragments} of {layout.frames} frames", hint=_AGAIN)
    ratio = _RLE_RATIO if layout.syntax == RLELossless else _GREAT_RATIO if frame > _GREAT_FRAME else 0
    if ratio and len(data) * ratio < frame * layout.frames:
        raise InputError(
            f"{path} is truncated: {len(data)} bytes cannot hold {layout.frames} frame(s) of"
            f" {layout.rows}x{layout.cols} pixels",
            hint=_AGAIN,
        )


def _fragments(data: bytes) -> int | None:
    """How many fragments follow the offset table, or None where the encapsulation is broken."""
    stream = BytesIO(data)
    try:
        parse_basic_offsets(stream)
        return parse_fragments(stream)[0]
    except Exception:  # said when the frames are decoded
        return None


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
    if layout.allocated not in _ALLOCATED or (layout.allocated == 64) > layout.floats:
        raise InputError(
            f"{path} has {layout.allocated} bits a pixel", "1, 8, 16 or 32 bits, or 32 or 64 of floating point"
        )
    if layout.frames * layout.rows * layout.cols > _LARGEST:
        raise InputError(
            f"{path} claims {layout.frames} frames of {layout.rows}x{layout.cols} pixels", "less than that"
        )
