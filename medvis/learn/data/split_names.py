"""Splits as people call them: case and blanks do not matter, and a typing error is not another split."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from medvis.errors import InputError

USUAL = ("train", "val", "test")
_SAME = {"training": "train", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "testing": "test"}


def split_name(name: str) -> str:
    """A split as splits are compared: in lower case, ``validation`` and its like as ``val``."""
    plain = name.strip().casefold()
    return _SAME.get(plain, plain)


def require_splits(names: Iterable[str], source: str) -> None:
    """Refuses a split that is empty or looks like a typing error: its rows would be in no part of the data.

    Args:
        names: of all rows, as `split_name` gives them.
        source: for the message.

    Raises:
        InputError: with the name that may be meant.
    """
    for name in sorted(set(names)):
        near = [] if name in USUAL or any(sign.isdigit() for sign in name) else get_close_matches(name, USUAL, 1, 0.7)
        if not name or near:
            hint = f"'{name}' may mean '{near[0]}'" if near else None
            raise InputError(f"{source} has rows of split '{name}'", "train, val, test or another name", hint)
