"""Reference masks in picture files, for training and evaluation alike: which pixels are target.

A mask may hold one value or any number of labels (0 is nothing), colours on black, a share in 0…1, or how many readers
marked each pixel. What cannot be told apart is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvis.core.arrays import Array, Bools
from medvis.errors import InputError
from medvis.io.readers.decoded import Decoded
from medvis.io.readers.labels import decoded_labels
from medvis.learn.data.label_names import normalised

EMPTY_MASKS = "masks"  # what `empty_masks` is called among the facts of an evaluation
MOST_READERS = 16  # higher values count no readers
_MOST_COLOURS = 64
_HALF = 128  # of 8 bits: where a lossy compression has blurred a mask of black and white
_COUNTS = "how many readers marked each pixel, or one value for whatever is marked"


class Mask(NamedTuple):
    """A mask that was read.

    Attributes:
        target: bool [rows, cols].
        readers: how many marked the pixel that most of them did; None where the mask does not count readers.
    """

    target: Bools
    readers: int | None


def read_mask(path: Path, readers: int = 1) -> Mask:
    """The target of a mask in a picture file.

    Args:
        path: PNG with or without a palette (its indices count), TIFF, BMP, JPEG or what else Pillow reads.
        readers: from how many readers on a pixel is target, where a mask counts them.

    Raises:
        InputError: unreadable or damaged, or its values can be no mask.
    """
    try:
        decoded = decoded_labels(path)
    except InputError as error:
        raise InputError(f"{path} is not a readable mask: {error.found}", error.wanted, error.hint) from error
    values = _one_channel(decoded.pixels, path, decoded.lossy)
    if decoded.inverted:
        _require_labels(values, decoded, path)
    if decoded.valid is not None:  # what the file says is no data is no target
        values = np.where(decoded.valid, values, values.dtype.type(0))
    if decoded.lossy:
        return Mask(_unblurred(values, path), None)
    if values.dtype.kind == "f":
        return _of_floats(values, path, readers)
    return _of_labels(values, path, readers)


def _require_labels(values: Array, decoded: Decoded, path: Path) -> None:
    """Refuses black and white of a TIFF that shows 0 as white.

    ImageJ marks its masks with the highest value so, and shows it black; scanners and painting programs mean what is
    shown white. Other values are labels as they are stored.
    """
    highest = 2**decoded.bits - 1 if decoded.bits <= 16 and values.dtype.kind in "bu" else None
    if decoded.lossy or (highest is not None and bool(np.isin(values, (0, highest)).all())):
        raise InputError(
            f"{path} is black and white and shows 0 as white (WhiteIsZero): which of them is marked is not said",
            "a mask in which 0 is black",
            "save it as PNG, white where something is marked",
        )


@dataclass(frozen=True)
class MaskFile:
    """A mask that is read when it is asked for."""

    path: Path
    readers: int

    def __call__(self, shape: tuple[int, int]) -> Bools:
        """Reference mask, bool [rows, cols]. Raises InputError."""
        marked = read_mask(self.path, self.readers).target
        if marked.shape != shape:
            size = f"{marked.shape[0]}×{marked.shape[1]} px"
            raise InputError(f"{self.path} is {size}", f"{shape[0]}×{shape[1]} px as its picture")
        return marked


def require_readers(masks: Iterable[Mask], readers: int, where: str) -> None:
    """Refuses masks of which none marks anything by as many readers as are wanted: they were not made to count them.

    Args:
        masks: of a data set, read with the same `readers`.
        readers: from how many on a pixel is target.
        where: the data set, for the message.

    Raises:
        InputError: some mark something, and none of them enough.
    """
    marked = [mask for mask in masks if mask.readers != 0 and (mask.readers is not None or mask.target.any())]
    if readers > 1 and marked and not any(mask.target.any() for mask in marked):
        most = max(mask.readers or 0 for mask in marked)
        raise InputError(
            f"no mask of {where} has a pixel that {readers} readers marked; the highest value is {most}",
            f"masks that count readers, as train.readers: {readers} says",
            "train.readers: 1 in the task's YAML, where a mask only says whether a pixel is marked",
        )


def empty_masks(masks: Sequence[tuple[str, Bools | bool | None]], normal: Iterable[str]) -> str | None:
    """In words, how many masks are empty though their label says that there is something; None where none is.

    Args:
        masks: label of each picture, and its mask, or whether that has a target pixel; None: it has no mask.
        normal: labels, as `label_names.normalised` gives them, that say nothing or that nobody has looked.
    """
    known = [(label, mask) for label, mask in masks if mask is not None]
    nothing = frozenset(normal)
    empty = sum(normalised(label) not in nothing and not np.any(mask) for label, mask in known)
    return f"{empty} of {len(known)} masks have no target pixel, though their label is not normal" if empty else None


def _one_channel(values: Array, path: Path, lossy: bool) -> Array:
    """[rows, cols]: of equal channels one; of colours on black the highest channel."""
    if values.ndim == 2:
        return values
    if (values[..., :1] == values).all():
        return values[..., 0]
    highest: Array = values.max(axis=-1)
    if lossy:
        return highest
    colours = len(np.unique(values.reshape(-1, values.shape[-1]), axis=0))
    if colours > _MOST_COLOURS or highest.min() > 0:
        found = f"has {colours} colours" if colours > _MOST_COLOURS else "has colours, and black nowhere"
        raise InputError(f"{path} {found}: no mask", f"at most {_MOST_COLOURS} colours on black, or grey labels")
    return np.asarray(highest > 0, np.uint8) * np.uint8(255)


def _unblurred(values: Array, path: Path) -> Bools:
    """Black and white that a lossy compression has blurred; smaller labels do not survive one."""
    if 0 < values.max() < _HALF:
        found = f"{path} is a mask in a lossy format, with values up to {values.max()}"
        raise InputError(found, "black and white (0 and 255)", "save small labels as PNG or TIFF without loss")
    return np.asarray(values >= _HALF)


def _of_floats(values: Array, path: Path, readers: int) -> Mask:
    """Whole numbers are labels; else 0…1 is the share or probability of the target, and half of it is enough."""
    known = np.where(np.isfinite(values), values, 0)
    if (known == np.rint(known)).all():
        return _of_labels(known, path, readers)
    if known.min() < 0 or known.max() > 1:
        found = f"{path} has values from {known.min():g} to {known.max():g} that are no whole numbers"
        raise InputError(found, "labels, or a share from 0 to 1")
    return Mask(np.asarray(known >= 0.5), None)


def _of_labels(values: Array, path: Path, readers: int) -> Mask:
    marked = np.asarray(values > 0)
    highest = int(values.max())
    if highest <= MOST_READERS:
        return Mask(np.asarray(values >= readers), max(highest, 0))
    if readers > 1 and len(np.unique(values[marked])) > 1:
        raise InputError(f"{path} has values up to {highest}, and train.readers is {readers}", _COUNTS)
    return Mask(marked, None)
