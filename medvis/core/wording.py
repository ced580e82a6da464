"""Numbers as people read them: probabilities that are never 0 or 1, which no model can know; slices and sizes."""

from __future__ import annotations


def percent(probability: float) -> str:
    """A probability in words: in whole percent, and never 0 or 100, which no model can know."""
    return _between(probability, "1%", f"{probability:.0%}", "99%")


def decimal(probability: float) -> str:
    """A probability in a table: two decimals, never 0 or 1."""
    return _between(probability, "0.01", f"{probability:.2f}", "0.99")


def over_views(spread: float | None) -> str:
    """The standard deviation over the views in words, with a comma before it; nothing where there was one view."""
    return "" if spread is None else f", sd over the views {spread:.2f}"


def slice_of(frame: int, first: int, last: int, frames: int) -> str:
    """A frame as people count it, e.g. ``8 of 13 (6-9)``: 1 is the first; in brackets from where to where.

    Args:
        frame: from 0, as in the report.
        first: likewise, where it begins.
        last: likewise, where it ends.
        frames: how many there are.
    """
    span = "" if first == last else f" ({first + 1}-{last + 1})"
    return f"{frame + 1} of {frames}{span}"


def size_of(rows: int, cols: int) -> str:
    """The size of an image, rows first as in the report: ``512 x 480 px (rows x columns)``."""
    return f"{rows} x {cols} px" + ("" if rows == cols else " (rows x columns)")


def spacing_of(spacing: tuple[float, float] | None) -> str:
    """The size of a pixel: one number where it is square, else the distance of rows and that of columns.

    Args:
        spacing: (row, column) in mm; None: unknown.
    """
    if spacing is None:
        return "spacing unknown"
    row, col = (f"{step:.3g} mm" for step in spacing)
    return f"{row} per px" if row == col else f"{row} between rows, {col} between columns"


def _between(probability: float, least: str, text: str, most: str) -> str:
    if probability < 0.005:
        return f"<{least}"
    return f">{most}" if probability >= 0.995 else text
