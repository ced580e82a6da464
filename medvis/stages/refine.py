"""Outlines as the model drew them → outlines at the edge that the densities show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from medvis.core.arrays import Bools, Labels
from medvis.core.case import Case, require
from medvis.core.frames import stack_like
from medvis.ops.half_contrast import refined_outline
from medvis.ops.partial_volume import around
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.slice_geometry import heights_or_apart

# Name of the stage on the trail, and of its fact: whether outlines are at the edge of the densities.
REFINE, REFINED = "refine", "refined"

Patch = tuple[tuple[slice, ...], Bools]


class RefineSettings(StageSettings):
    """How outlines are changed.

    Attributes:
        method: ``half_contrast``: to where the density is half-way between the finding and its surroundings, in the
            plane and to the next slice; of images in Hounsfield units with pixels of a known size, others stay as
            they are. ``none``: not at all.
    """

    method: Literal["half_contrast", "none"] = "half_contrast"


class Refine(BaseStage):
    """Changes `mask` in place of the old one: the same findings, numbered anew, the one with most pixels first."""

    name: ClassVar[str] = REFINE
    Settings: ClassVar[type[StageSettings]] = RefineSettings
    needs: ClassVar[tuple[str, ...]] = ("mask", "scores")
    gives: ClassVar[tuple[str, ...]] = ("mask", "scores")

    def __call__(self, case: Case) -> Case:
        """The case with refined outlines."""
        mask = require(case.mask, self.name, "mask", "segment")
        scan = case.scan
        able = scan.unit == "HU" and scan.channels == 1 and scan.geometry.spacing is not None
        if self.settings.method == "none" or not able or not mask.any():
            return case.derive(self.step(**{REFINED: False}))
        patches = list(_patches(case, mask))
        anew = _by_size(_patched(mask, patches), [number for number, _ in patches])
        refined = (anew[plane] for plane in _patched(mask, patches))
        scores = require(case.scores, self.name, "scores", "segment")
        return case.derive(
            self.step(**{REFINED: True}),
            mask=stack_like(mask, refined),
            scores=tuple(replace(score, label=int(anew[score.label])) for score in scores),
        )


def _patches(case: Case, mask: Labels) -> Iterator[tuple[int, Patch]]:
    """The number of each finding, its box and its outline therein."""
    spacing = case.scan.geometry.spacing
    assert spacing is not None  # looked at before
    heights = heights_or_apart(case.scan.geometry, len(mask))
    spans: dict[int, list[int]] = {}
    for index, plane in enumerate(mask):
        for number in np.unique(plane[plane > 0]):
            spans.setdefault(int(number), []).append(index)
    for number, frames in sorted(spans.items()):
        window = around(mask, number, (frames[0], frames[-1]), spacing)
        planes = range(*window[0].indices(len(mask)))
        labels = np.stack([mask[index][window[1:]] for index in planes])
        hu = np.stack([case.scan.pixels[index, ..., 0][window[1:]] for index in planes])
        others = (labels > 0) & (labels != number)
        outline = refined_outline(hu, labels == number, others, spacing, heights[planes.start : planes.stop])
        yield number, (window, outline)


def _by_size(planes: Iterator[Labels], numbers: list[int]) -> Labels:
    """Old number → new number, int32 [n + 1]: the most pixels first, of equal ones the lower old number."""
    counts = np.zeros(max(numbers) + 1, np.int64)
    for plane in planes:
        counts += np.bincount(plane[plane > 0], minlength=len(counts))
    anew = np.zeros(len(counts), np.int32)
    for rank, number in enumerate(sorted(numbers, key=lambda number: (-counts[number], number)), start=1):
        anew[number] = rank
    return anew


def _patched(mask: Labels, patches: list[tuple[int, Patch]]) -> Iterator[Labels]:
    for index, plane in enumerate(mask):
        out = np.zeros_like(plane)
        for number, (window, outline) in patches:
            first, last, _ = window[0].indices(len(mask))
            if first <= index < last:
                part = out[window[1:]]
                part[outline[index - first] & (part == 0)] = number
        yield out
