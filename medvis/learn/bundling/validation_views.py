"""Val pictures as the network's input, by the shipped pipeline, whatever the task: what graphs are compared on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Indices
from medvis.errors import InputError
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.examples import Example
from medvis.learn.data.index import load_grey_scans, read_index
from medvis.learn.measuring.crops import EVERYWHERE, run_crops
from medvis.learn.training.recipe import Recipe
from medvis.ops.fit import fit
from medvis.ops.tiles import cut
from medvis.pipeline import Pipeline, load


@dataclass(frozen=True)
class Held:
    """Views of val pictures and what is to be seen on them.

    Attributes:
        views: float32 [n, c, side, side] in 0…1.
        groups: of each view.
        masks: bool [n, side, side]; None: nothing is outlined.
        columns: the class logits that are compared: one of a binary question, or those of all classes.
        truth: int [n], place of the right one among `columns` (binary: 0 or 1); −1: not known.
    """

    views: Float32s
    groups: list[str]
    masks: Bools | None
    columns: list[int]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.views)

    def part(self, rows: Indices) -> Held:
        """Some of the views."""
        masks = None if self.masks is None else self.masks[rows]
        groups = [self.groups[row] for row in rows]
        return replace(self, views=self.views[rows], groups=groups, masks=masks, truth=self.truth[rows])

    def halves(self, share: float, most: int, seed: int) -> tuple[Held, Held]:
        """Two parts without a common group: about `share` of the views (`most` at the most), and the rest.

        Raises:
            InputError: there is but one group.
        """
        names = sorted(set(self.groups))
        if len(names) < 2:
            raise InputError(
                f"val has {len(names)} group", "two at least: one sets the ranges of INT8, the rest measures"
            )
        order = np.random.default_rng(seed).permutation(len(names))
        wanted, first = min(share * len(self), most), set[str]()
        for place in order[:-1]:
            if first and sum(group in first for group in self.groups) >= wanted:
                break
            first.add(names[place])
        inside = np.array([group in first for group in self.groups])
        return self.part(np.flatnonzero(inside)[:most]), self.part(np.flatnonzero(~inside))


def held_of(task: str, recipe: Recipe, data: Path) -> Held:
    """The val split, as the recipe's sampler shows it to the network.

    Raises:
        InputError: there is no val split, or it cannot be read.
    """
    if recipe.sampler == "lesions":
        return _lesions(task, recipe, data)
    pipeline = Pipeline(task)
    examples, _ = read_examples(data, "val", int(pipeline.config.train.get("readers", 1)))
    side = recipe.phases[-1].size
    shown = [_show(pipeline, one, side, whole=recipe.sampler == "pictures", masks=recipe.masks) for one in examples]
    names = [label.name.casefold() for label in recipe.labels if label.kind == "class"]
    columns = [place for place, label in enumerate(recipe.labels) if label.kind == "class"]
    truth = [names.index(one.label.casefold()) if one.label.casefold() in names else -1 for one in examples]
    return Held(
        np.stack([view for view, _ in shown]),
        [one.group for one in examples],
        np.stack([mask for _, mask in shown]) if recipe.masks else None,
        columns,
        np.array(truth, np.int64),
    )


def _show(pipeline: Pipeline, example: Example, side: int, whole: bool, masks: bool) -> tuple[Float32s, Bools]:
    """One picture fitted into a square, or a square cut out of it; and the mask of that."""
    case, _ = pipeline.run(pipeline.accept(load(example.image)), last=_last(pipeline))
    assert case.view is not None  # the pipeline has run up to enhance
    image = np.ascontiguousarray(case.view[0].transpose(2, 0, 1), np.float32)
    shape = (image.shape[1], image.shape[2])
    marked = example.mask(shape) if masks else None
    mask = np.zeros(shape, bool) if marked is None else marked
    plane = mask[None].astype(np.float32)
    if whole:
        return fit(image, side), fit(plane, side)[0] > 0.5
    corner = _corner(mask, side)
    return cut(image, corner, side), cut(plane, corner, side)[0] > 0.5


def _last(pipeline: Pipeline) -> str:
    """The stage that the network's input comes from."""
    names = [stage.name for stage in pipeline.stages]
    return names[names.index("infer") - 1]


def _corner(mask: Bools, side: int) -> tuple[int, int]:
    """Of a tile that holds the largest lesion, off its centre; the middle of the picture where there is none."""
    _, _, table, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    rows, cols = mask.shape
    row, col = rows / 2, cols / 2
    if len(table) > 1:
        largest = 1 + int(table[1:, cv2.CC_STAT_AREA].argmax())
        col, row = centres[largest]
    top, left = round(row - 0.4 * side), round(col - 0.6 * side)
    return min(max(top, 0), max(rows - side, 0)), min(max(left, 0), max(cols - side, 0))


def _lesions(task: str, recipe: Recipe, data: Path) -> Held:
    """Off-centre sub-crops around lesions, and the rating that the data are labelled with."""
    scans = load_grey_scans(read_index(data, "val"), recipe.readers)
    windows = scans.off_centre(recipe.phases[-1].size, recipe.seed)
    pipeline = Pipeline(task, EVERYWHERE)
    views, masks = [], []
    for crop in run_crops(pipeline, scans, windows, _last(pipeline), _silent):
        assert crop.case.view is not None  # the pipeline has run up to enhance
        views.append(np.ascontiguousarray(crop.case.view[0].transpose(2, 0, 1), np.float32))
        masks.append(crop.truth)
    names = [label.name for label in recipe.labels]
    column = [names.index("malignancy")] if "malignancy" in names else []
    known = {"benign": 0, "malignant": 1}
    truth = np.array([known.get(row.label, -1) for row in scans.rows], np.int64)
    return Held(np.stack(views), [row.group for row in scans.rows], np.stack(masks), column, truth)


def _silent(done: int, total: int) -> None:
    del done, total


def batches(views: Float32s, size: int) -> Sequence[Float32s]:
    """The views in batches of at most `size`."""
    return [views[start : start + size] for start in range(0, len(views), size)]
