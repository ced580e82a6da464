"""Lossless and 12-bit JPEG, and odd JPEG-LS, through GDCM.

GDCM is told what the stream says and not what the header says: it ends the process where the two contradict. That is
why pydicom's own plug-in for GDCM, which tells it what the header says, is not used.
"""

from __future__ import annotations

import numpy as np
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from medvis.core.arrays import Array
from medvis.dicom.read.jpeg import check_jpeg
from medvis.dicom.read.layout import Layout

_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)


def needs_gdcm(layout: Layout) -> bool:
    """Whether a frame is lossless JPEG, or JPEG Extended of more than 8 bits, which Pillow does not decode."""
    return layout.syntax in _LOSSLESS or (layout.syntax == JPEGExtended12Bit and layout.bits > 8)


def decode_jpeg(stream: bytes, layout: Layout) -> Array:
    """One frame.

    Args:
        stream: the JPEG stream of the frame.
        layout: of the data set; colours are those of the data set, unconverted.

    Returns:
        uint8, int8, uint16 or int16 [rows, cols] or [rows, cols, 3], as allocated.

    Raises:
        ValueError: a stream that is broken or does not give rows × cols × samples values.
    """
    bits = check_jpeg(stream, layout)
    if layout.allocated not in (8, 16):
        raise ValueError(f"JPEG has no samples of {layout.allocated} bits")
    values = _decoded(stream, layout, bits)
    count = layout.rows * layout.cols * layout.samples
    if values.size != count:
        raise ValueError(f"the JPEG stream gave {values.size} of {count} values")
    shape = (layout.rows, layout.cols) if layout.samples == 1 else (layout.rows, layout.cols, layout.samples)
    return _as_allocated(values, layout, bits).reshape(shape)


def _decoded(stream: bytes, layout: Layout, bits: int) -> Array:
    """The samples as GDCM gives them: unsigned, in the fewest bytes, by pixel."""
    import gdcm  # noqa: PLC0415 - 0.06 s and needed by few transfer syntaxes

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.cols, layout.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2" if layout.samples == 1 else "RGB")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str.__str__(layout.syntax))))
    allocated = 8 if bits <= 8 else 16
    stored = 8 if bits <= 8 else bits
    image.SetPixelFormat(gdcm.PixelFormat(layout.samples, allocated, stored, stored - 1, 0))
    buffer = image.GetBuffer()
    raw = (buffer or "").encode("utf-8", "surrogateescape")
    return np.frombuffer(raw[: len(raw) // (allocated // 8) * (allocated // 8)], f"<u{allocated // 8}")


def _as_allocated(values: Array, layout: Layout, bits: int) -> Array:
    """In cells of Bits Allocated, negative where the sign bit of the stored bits is set."""
    unsigned = values.astype(f"u{layout.allocated // 8}")
    if not layout.signed:
        return unsigned
    unused = layout.allocated - min(bits, layout.bits)
    signed: Array = np.left_shift(unsigned, unused).view(f"i{layout.allocated // 8}")
    return np.asarray(np.right_shift(signed, unused))
