"""Sizes of pixels that can be: what a damaged header gives is not measured with, whatever the format."""

from __future__ import annotations

from dataclasses import replace

from medvis.core.scan import Scan

LEAST, MOST = 1e-6, 1e4  # mm: from a nanometre to ten metres


def is_possible(*lengths: float) -> bool:
    """Whether a microscope, a scanner or a camera may have made pixels of these sizes in mm."""
    return all(LEAST <= length <= MOST for length in lengths)


def with_possible_sizes(scan: Scan) -> Scan:
    """The scan; of a spacing that cannot be, unknown, with the reason and a note."""
    geometry, wrong = scan.geometry, {}
    if geometry.spacing is not None and not is_possible(*geometry.spacing):
        size = " × ".join(f"{length:.3g}" for length in geometry.spacing)
        wrong["spacing"] = f"the file gives pixels of {size} mm, which cannot be"
    if geometry.slice_spacing is not None and not is_possible(geometry.slice_spacing):
        wrong["slice_spacing"] = f"the file gives {geometry.slice_spacing:.3g} mm between slices, which cannot be"
    if not wrong:
        return scan
    known = replace(geometry, reasons={**geometry.reasons, **wrong}, **dict.fromkeys(wrong))
    notes = (f"{reason}; nothing is measured with it" for reason in wrong.values())
    return replace(scan, geometry=known, notes=(*scan.notes, *notes))
