"""Which part of a slice is shown: a rectangle of pixels, by default the one around all that was searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.case import Case

_AROUND, _LEAST = 0.04, 8  # of the longer side, and in px, what is shown around the searched region
_WORTH = 0.7  # a region above this share of the slice is not worth the loss of its surroundings


@dataclass(frozen=True)
class Region:
    """A rectangle of a slice in whole pixels, half-open, inside the image."""

    row0: int
    col0: int
    row1: int
    col1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.row1 - self.row0, self.col1 - self.col0


def searched_part(case: Case) -> Region | None:
    """The rectangle around all that was searched on any slice, and around every finding, with a margin.

    None where everything was searched, nothing was, or the rectangle is most of the slice.
    """
    if case.region is None:
        return None
    rows, cols = np.zeros(case.scan.shape[0], bool), np.zeros(case.scan.shape[1], bool)
    for plane in case.region:
        rows |= plane.any(axis=1)
        cols |= plane.any(axis=0)
    if not rows.any():
        return None
    for finding in case.findings or ():
        rows[finding.box.row0 : finding.box.row1] = True
        cols[finding.box.col0 : finding.box.col1] = True
    margin = max(_LEAST, round(_AROUND * max(case.scan.shape)))
    (row0, row1), (col0, col1) = _ends(rows, margin), _ends(cols, margin)
    if (row1 - row0) * (col1 - col0) > _WORTH * rows.size * cols.size:
        return None
    return Region(row0, col0, row1, col1)


def _ends(line: np.ndarray, margin: int) -> tuple[int, int]:
    """From where to where (half-open) the line is True, with a margin inside it."""
    there = np.flatnonzero(line)
    return max(int(there[0]) - margin, 0), min(int(there[-1]) + 1 + margin, len(line))
