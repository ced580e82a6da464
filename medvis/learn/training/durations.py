"""Times in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in words, as exact as an estimate is: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 days 5 h``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        hours, rest = divmod(minutes if minutes < 600 else 10 * round(minutes / 10), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} day{'s' * (days > 1)}" + (f" {hours} h" if hours else "")
