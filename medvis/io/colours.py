"""The colours of every picture, chosen to be told apart by colour-blind eyes and on a dark screen."""

from __future__ import annotations

Colour = tuple[int, int, int]

# Okabe & Ito, "Color Universal Design" (2008), without black; one a finding, in turn.
FINDINGS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)

BACKGROUND: Colour = (18, 21, 27)
SURFACE: Colour = (29, 33, 41)
DARK: Colour = (8, 9, 12)
BLACK: Colour = (0, 0, 0)
LINE: Colour = (58, 64, 76)
TEXT: Colour = (233, 236, 240)
MUTED: Colour = (160, 167, 178)
# One colour a role, on every picture: what the model says or outlines, and what the reference says.
PREDICTION: Colour = (96, 208, 255)
REFERENCE: Colour = (255, 128, 48)
VERDICTS: dict[str, Colour] = {"positive": (240, 170, 40), "negative": (64, 190, 150), "refer": (214, 140, 186)}


def hexadecimal(colour: Colour) -> str:
    """The colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
