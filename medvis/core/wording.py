"""Probabilities as people read them: never 0 or 1, which no model can know."""

from __future__ import annotations


def percent(probability: float) -> str:
    """A probability in words: in whole percent, and never 0 or 100, which no model can know."""
    return _between(probability, "1%", f"{probability:.0%}", "99%")


def decimal(probability: float, spread: float | None = None) -> str:
    """A probability in a table: two decimals, never 0 or 1; with its sd over the views if known."""
    text = _between(probability, "0.01", f"{probability:.2f}", "0.99")
    return text if spread is None else f"{text} ± {spread:.2f}"


def _between(probability: float, least: str, text: str, most: str) -> str:
    if probability < 0.005:
        return f"<{least}"
    return f">{most}" if probability >= 0.995 else text
