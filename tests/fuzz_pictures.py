"""TIFFs of random layouts, masks of random kinds, and damaged pictures. Seeded: the same number, the same file."""

from __future__ import annotations

import io
import warnings
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
from PIL import Image

Random = np.random.Generator
DTYPES = ("u1", "u1", "u2", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")
LOSSLESS = ("lzw", "zlib", "lzma")


class Made(NamedTuple):
    """A file, how it was made, and what is in it: [rows, cols, samples]."""

    data: bytes
    made: dict[str, Any]
    samples: np.ndarray


def any_of(random: Random, *values: Any) -> Any:
    return values[int(random.integers(len(values)))]


def tiff(random: Random) -> Made:
    """A TIFF of a random layout, of those that tifffile writes."""
    samples = any_of(random, 1, 1, 1, 3, 3, 4)
    pixels = _values(random, np.dtype(any_of(random, *DTYPES)), samples)
    made: dict[str, Any] = {"byteorder": any_of(random, "<", ">"), "bigtiff": random.random() < 0.2}
    made |= {"photometric": "rgb"} if samples > 1 else {"photometric": any_of(random, "minisblack", "miniswhite")}
    lossy = ["jpeg"] if pixels.dtype == np.uint8 else []
    made["compression"] = any_of(random, None, None, "packbits", *lossy, *LOSSLESS)
    if made["compression"] in LOSSLESS:
        made["predictor"] = bool(random.random() < 0.5)
    shape = {"tile": any_of(random, (16, 16), (32, 48))} if random.random() < 0.4 else {}
    made |= shape or {"rowsperstrip": int(random.integers(1, len(pixels) + 1))}
    if samples == 4:
        made["extrasamples"] = [any_of(random, "unassalpha", "assocalpha", "unspecified")]
    if pixels.dtype == np.uint16 and made["compression"] is None and random.random() < 0.5:
        made["bitspersample"] = any_of(random, 10, 12, 14)
        pixels = pixels >> (16 - made["bitspersample"])
    if samples > 1:
        # A JPEG has no fourth channel of transparency.
        together = [] if samples == 4 and made["compression"] == "jpeg" else ["contig"]
        made["planarconfig"] = any_of(random, *together, "separate")
    orientation = int(any_of(random, 1, 1, *range(1, 9)))
    tags = [(274, "H", 1, orientation, True)] if orientation > 1 else []
    stream = io.BytesIO()
    stored = np.moveaxis(pixels, -1, 0) if made.get("planarconfig") == "separate" else pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(stream, stored if samples > 1 else pixels[..., 0], metadata=None, extratags=tags, **made)
    return Made(stream.getvalue(), {**made, "orientation": orientation}, pixels)


def _values(random: Random, dtype: np.dtype, samples: int) -> np.ndarray:
    rows, cols = (int(side) for side in random.integers(33, 80, 2))
    smooth = random.normal(0, 1, (rows, cols, samples)).cumsum(0).cumsum(1)
    unit = (smooth - smooth.min()) / np.ptp(smooth)
    low, high = {"f": (-1, 2), "i": (-100, 120), "u": (0, 250 if dtype.itemsize == 1 else 60000)}[dtype.kind]
    return (unit * (high - low) + low).astype(dtype)


def picture(random: Random) -> tuple[str, bytes]:
    """(ending, bytes) of a sound PNG, JPEG, BMP or TIFF."""
    kind = any_of(random, "png", "jpg", "bmp", "tif", "tif", "tif")
    if kind == "tif":
        return kind, tiff(random).data
    pixels = _values(random, np.dtype("u1"), any_of(random, 1, 3))
    return kind, cv2.imencode(f".{kind}", pixels)[1].tobytes()


def damaged(random: Random, data: bytes) -> tuple[str, bytes]:
    """(what was done, the bytes): one kind of damage, in the head as often as elsewhere."""
    body = bytearray(data)
    what = any_of(random, "truncated", "flipped", "overwritten", "blanked", "grown", "tail")
    reach = any_of(random, min(200, len(body)), len(body))
    at = int(random.integers(4, reach))
    if what == "truncated":
        del body[at:]
    elif what == "flipped":
        body[at] ^= 1 << int(random.integers(8))
    elif what == "overwritten":
        body[at : at + 4] = random.integers(0, 256, 4).astype(np.uint8).tobytes()
    elif what == "blanked":
        size = int(any_of(random, 2, 16, 128))
        body[at : at + size] = any_of(random, b"\x00", b"\xff") * len(body[at : at + size])
    elif what == "grown":
        body[at:at] = bytes(int(random.integers(1, 40)))
    else:  # the directory of a TIFF that tifffile wrote lies at the start, the pixels at the end
        body[-int(random.integers(1, 60)) :] = b""
    return what, bytes(body)


def mask(random: Random) -> tuple[str, bytes, np.ndarray]:
    """(ending, bytes, what is marked) of a mask without loss: any number of lesions, any kind of file."""
    marked = cv2.blur(random.normal(0, 1, (48, 64)), (9, 9)) > 0.12
    marked[0, 0], marked[-1, -1] = True, False
    kind = any_of(random, "binary", "ids", "float", "palette", "colour", "alpha", "bilevel")
    _, pieces = cv2.connectedComponents(marked.astype(np.uint8))
    ids = np.where(marked, pieces * int(any_of(random, 1, 1, 256, 1000)), 0)
    value = int(any_of(random, 1, 128, 255))
    stream = io.BytesIO()
    if kind in ("float", "ids"):
        pixels = (marked * float(any_of(random, 0.9, 1, 255))).astype("f4") if kind == "float" else ids.astype("u4")
        tifffile.imwrite(stream, pixels, photometric="minisblack", compression=any_of(random, None, "zlib", "lzw"))
        return "tif", stream.getvalue(), marked
    grey = (marked * value).astype(np.uint8)
    image = {
        "binary": lambda: Image.fromarray(grey),
        "bilevel": lambda: Image.fromarray(marked),
        "palette": lambda: _palette(marked.astype(np.uint8)),
        "colour": lambda: Image.fromarray(np.dstack([grey, grey // 2, grey * 0])),
        "alpha": lambda: Image.fromarray(np.dstack([grey, grey * 0 + 255])),
    }[kind]()
    image.save(stream, "PNG")
    return "png", stream.getvalue(), marked


def _palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, "P")
    image.putpalette([200, 9, 9, 0, 0, 0] + [7] * 762)
    return image
