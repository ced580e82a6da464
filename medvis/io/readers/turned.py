"""An orientation that a picture gives outside of EXIF, where some programs look for it and most do not."""

from __future__ import annotations

import io

_TAG = 274  # Orientation, EXIF 2.32 4.6.4
_MARKS = (b"tiff:Orientation", b"Raw profile type exif", b"XML:com.adobe.xmp")


def turned_elsewhere(data: bytes) -> str | None:
    """A note on an orientation in XMP or in ImageMagick's profile of a PNG, which is not applied; None without one.

    EXIF of a JPEG or of a PNG's eXIf chunk decides where it gives one. `data` is the whole file.
    """
    if not any(mark in data for mark in _MARKS):
        return None
    from PIL import Image  # noqa: PLC0415 - few files need it

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "MPO")) as image:
            own, told = Image.Exif(), image.getexif().get(_TAG)
            own.load(image.info.get("exif", b""))
    except Exception:  # Pillow raises whatever the damaged metadata of a whole picture lead to
        return None
    if _TAG in own or told not in range(2, 9):
        return None
    return f"an orientation of {told}, given in XMP or a text profile and not in EXIF, was not applied"
