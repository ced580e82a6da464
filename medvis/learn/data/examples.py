"""One labelled picture, whatever layout it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools
from medvis.learn.data.label_names import NOTHING, normalised


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    Attributes:
        id, group: pictures of one group (patient, place) are drawn together for the intervals.
        label: its class; empty where it is not known.
        image: the file, which the pipeline reads.
        outline: gives the reference mask for a picture of (rows, cols); None where the data hold none.
        unsure: gives the pixels where a finding is neither right nor false, likewise; None: there are none.
    """

    id: str
    group: str
    label: str
    image: Path
    outline: Callable[[tuple[int, int]], Bools] | None = None
    unsure: Callable[[tuple[int, int]], Bools] | None = None

    @property
    def normal(self) -> bool:
        """Whether its label says that there is nothing to be found."""
        return normalised(self.label) in NOTHING

    def mask(self, shape: tuple[int, int]) -> Bools | None:
        """Reference as bool [rows, cols]; empty where the label says that there is nothing, None where none is known.

        Raises:
            InputError: the mask is unreadable, or not of that shape.
        """
        if self.outline is not None:
            return self.outline(shape)
        return np.zeros(shape, bool) if self.normal else None


def no_pixels(shape: tuple[int, int]) -> Bools:
    """The mask of a picture on which nothing is marked, bool [rows, cols]."""
    return np.zeros(shape, bool)
