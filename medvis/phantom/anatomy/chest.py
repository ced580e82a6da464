"""One axial plane of a chest, from skin to spine; vessels, texture, nodules and noise are drawn elsewhere.

Millimetres run from the middle of the body: x to the patient's left, y to the back, z to the head. The HU are typical
ones: fat −100, muscle 50, blood 40, trabecular bone 180, cortex 700, lung −865 and denser where gravity draws.
"""

from __future__ import annotations

import numpy as np

from medvis.core.arrays import Float32s
from medvis.phantom.anatomy.plane import DrawingPlane, blank, joined, lobe

AIR, FAT, MUSCLE, BLOOD, ORGAN, DISC = -1000.0, -100.0, 50.0, 40.0, 46.0, 90.0
TRABECULAR, CORTEX, LUNG, FOAM, SHELL = 180.0, 700.0, -865.0, -940.0, -150.0
SIDES = (-1.0, 1.0)
RIB_EVERY, RIB_FALL = 24.0, 62.0  # mm between ribs at one angle; mm that a rib falls from the spine to its front
INNER = (133.0, 90.0)  # half axes of the inside of the rib cage
INNER_Y = -4.0
CARINA_Z = 6.0


def chest_plane(
    shape: tuple[int, int], spacing: tuple[float, float], z: float, scale: float = 1.0
) -> tuple[Float32s, Float32s]:
    """HU of one plane, float32 [rows, cols], and the share of each pixel that is lung, float32 0…1.

    Args:
        shape: (rows, cols); the body's middle is theirs.
        spacing: (row, column) in mm.
        z: height of the plane in mm; −40…40 holds the heart below and the windpipe above.
        scale: enlarges the whole body.
    """
    plane = blank(shape, spacing, z, AIR, scale)
    _table(plane)
    _wall(plane, z)
    _ribs(plane, z)
    inside = lobe(plane, (0.0, INNER_Y), _inner(z), power=2.3)
    plane.paint(FAT, inside)
    lung = plane.fraction(np.maximum(inside, -_mediastinum(plane, z)))
    _organs(plane, z)
    plane.cover(LUNG, lung)
    plane.add(lung * np.float32(0.28) * np.maximum(plane.y + 30, 0))
    _fissures(plane, z, lung)
    _spine(plane, z)
    _airways(plane, z)
    return plane.hu, lung


def _bone(plane: DrawingPlane, distance: Float32s, shell: float = 1.6) -> None:
    plane.paint(CORTEX, distance)
    plane.paint(TRABECULAR, distance + np.float32(shell))


def _inner(z: float) -> tuple[float, float]:
    """The rib cage narrows towards the head."""
    narrow = 1 - 0.0022 * max(z + 10, 0)
    return INNER[0] * narrow, INNER[1] * (0.5 + 0.5 * narrow)


def _table(plane: DrawingPlane) -> None:
    """Foam between two shells, straight and not bent with the body."""
    x, y = plane.cols[None], plane.rows[:, None]
    below = y - np.float32(128) + np.float32(9e-4) * x**2
    wide = np.abs(x) - np.float32(205)
    plane.paint(FOAM, np.maximum(np.abs(below - 11) - 10, wide))
    for depth in (0, 22):
        plane.paint(SHELL, np.maximum(np.abs(below - depth) - np.float32(0.8), wide))


def _wall(plane: DrawingPlane, z: float) -> None:
    """Skin, fat, the layers of muscle, shoulder blades and breastbone."""
    trunk = lobe(plane, (0.0, 0.0), (166.0, 116.0), power=2.3)
    plane.paint(MUSCLE, trunk)
    plane.paint(FAT, trunk + np.float32(1.8))
    inner = _inner(z)
    plane.paint(MUSCLE, lobe(plane, (0.0, INNER_Y - 1), (inner[0] + 13, inner[1] + 11), power=2.3))
    for side in SIDES:
        for center, axes, degrees in (
            ((side * 98, 78), (44.0, 15.0), -side * 32),
            ((side * 132, 8), (11.0, 46.0), -side * 4),
            ((side * 70, -92), (44.0, 8.0), side * 17),
            ((side * 27, 94), (25.0, 12.0), 0.0),
        ):
            part = plane.near(center, max(axes))
            part.paint(MUSCLE, lobe(part, center, axes, degrees))
        part = plane.near((side * 106, 74), 36)
        _bone(part, lobe(part, (side * 106, 74), (34.0, 3.4), -side * 36), 1.2)
    part = plane.near((0, -99), 24)
    _bone(part, lobe(part, (0.0, -99.0), (21.0, 6.5), power=2.6), 1.4)


def _ribs(plane: DrawingPlane, z: float) -> None:
    """Each rib falls from the spine to the front, so that a plane cuts several of them, each at another angle."""
    inner = _inner(z)
    across = lobe(plane, (0.0, INNER_Y), (inner[0] + 5.5, inner[1] + 5.5), power=2.3)
    back = np.arctan2(np.abs(plane.x) / np.float32(inner[0]), (plane.y - np.float32(INNER_Y)) / np.float32(inner[1]))
    back /= np.float32(np.pi)
    level = np.float32(z) + np.float32(RIB_FALL) * back + np.where(plane.x > 0, np.float32(5), np.float32(0))
    along = (level + np.float32(RIB_EVERY / 2)) % np.float32(RIB_EVERY) - np.float32(RIB_EVERY / 2)
    distance = (np.hypot(across / np.float32(4.2), along / np.float32(6.0)) - 1) * np.float32(4.2)
    _bone(plane, np.maximum(distance, (back - np.float32(0.84)) * 100), 1.3)


def _heart(plane: DrawingPlane, z: float) -> Float32s:
    """Two ventricles and an atrium, growing below the carina; above the root of the great vessels they are gone."""
    grown = float(np.clip((16 - z) / 44, 0, 1))
    if grown == 0:
        return np.full(plane.hu.shape, 99, dtype=np.float32)
    left = lobe(plane, (10 + 22 * grown, -22.0), (16 + 32 * grown, 14 + 22 * grown), 38)
    right = lobe(plane, (2.0, -42.0), (14 + 26 * grown, 10 + 14 * grown), 12)
    atrium = lobe(plane, (-18 - 8 * grown, -22.0), (10 + 14 * grown, 12 + 20 * grown), -12)
    return joined(joined(left, right, 12), atrium, 12)


def _mediastinum(plane: DrawingPlane, z: float) -> Float32s:
    """Signed distance to all that parts the lungs: a waist in front, the great vessels, the heart and the spine."""
    waist = 4 + 22 * np.exp(-(((plane.y + 6) / 30) ** 2)) + 17 * np.exp(-(((plane.y - 64) / 19) ** 2))
    out = np.abs(plane.x - np.float32(3)) - waist
    for center, radius in (((0.0, 64.0), 24.0), ((23.0, 42.0), 14.0), ((-24.0, -16.0), 10.5)):
        out = joined(out, lobe(plane, center, (radius, radius)), 6)
    return joined(out, _heart(plane, z) - np.float32(2), 6)


def _organs(plane: DrawingPlane, z: float) -> None:
    """Heart, great vessels and gullet in the fat of the mediastinum."""
    plane.paint(ORGAN, _heart(plane, z))
    high = float(np.clip((z + 6) / 20, 0, 1))
    circles = [((23.0, 42.0), 12.2), ((-6.0, -28.0), 15.0 * (0.5 + 0.5 * high)), ((-24.0, -16.0), 8.5)]
    if -20 < z < 12:
        circles += [((15.0, -22.0), 13.5)]
    if z > 18:
        circles += [((12.0, -8.0), 12.0), ((20.0, 14.0), 12.0)]
    for center, radius in circles:
        part = plane.near(center, radius)
        part.paint(BLOOD, lobe(part, center, (radius, radius)))
    part = plane.near((5, 31), 10)
    part.paint(MUSCLE, lobe(part, (5.0, 31.0), (8.5, 5.5)))


def _fissures(plane: DrawingPlane, z: float, lung: Float32s) -> None:
    """A faint line where two lobes of a lung meet."""
    for side, offset in ((-1.0, 6.0), (1.0, -4.0)):
        line = np.abs(plane.y - np.float32(offset - 0.9 * z) + np.float32(0.0016) * (np.abs(plane.x) - 80) ** 2)
        mine = plane.x * np.float32(side) > 20
        plane.add(np.float32(110) * lung * mine * np.clip(np.float32(1.4) - line, 0, 1))


def _spine(plane: DrawingPlane, z: float) -> None:
    """Vertebral body or disc, arch, processes and canal."""
    part = plane.near((0, 80), 40)
    body = lobe(part, (0.0, 62.0), (19.0, 14.5), power=2.4)
    if (z + 4) % 24 < 4.5:
        part.paint(DISC, body)
    else:
        _bone(part, body)
    arch = joined(lobe(part, (0.0, 84.0), (16.0, 12.0)), lobe(part, (0.0, 102.0), (3.6, 12.0)), 4)
    for side in SIDES:
        arch = joined(arch, lobe(part, (side * 25, 83.0), (15.0, 4.2), -side * 22), 4)
    _bone(part, arch)
    part.paint(FAT, lobe(part, (0.0, 82.0), (10.5, 8.6)))
    part.paint(MUSCLE, lobe(part, (0.0, 82.0), (8.0, 6.2)))


def _airways(plane: DrawingPlane, z: float) -> None:
    """Windpipe above the carina, the two main bronchi below, each with a wall."""
    down = CARINA_Z - z
    if down < 0:
        tubes = [((0.0, 9.0), (8.5, 8.0))]
    else:
        bend = min(down, 24.0)
        tubes = [((side * (7 + 1.0 * bend), 10 + 0.3 * bend), (7.5 - 0.16 * bend, 6.0 - 0.1 * bend)) for side in SIDES]
    for center, axes in tubes:
        part = plane.near(center, 12)
        distance = lobe(part, center, axes)
        part.paint(MUSCLE, distance - np.float32(1.5))
        part.paint(AIR, distance)
