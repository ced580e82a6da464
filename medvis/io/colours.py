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
