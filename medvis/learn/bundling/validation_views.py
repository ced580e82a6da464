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
from medvis.learn.data.ct_pictures import load_ct_pictures
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.examples import Example
from medvis.learn.data.index import read_index
from medvis.learn.data.label_names import ClassNames, normalised
from medvis.learn.data.views import ViewReader
from medvis.learn.training.recipe import Recipe
from medvis.ops.fit import fit
from medvis.ops.tiles import cut
from medvis.settings import load_task


@dataclass(frozen=True)
class ValidationViews:
    """Views of val pictures and what is to be seen on them.

    Attributes:
        views: float32 [n, c, side, side] in 0…1.
        groups: of each view.
        masks: bool [n, side, side]; None: nothing is outlined.
        columns: the class logits that are compared: one of a binary question, or those of all classes.
        truth: int [n], index of the right one among `columns` (binary: 0 or 1); −1: not known.
    """

    views: Float32s
    groups: list[str]
    masks: Bools | None
    columns: list[int]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.views)

    def part(self, rows: Indices) -> ValidationViews:
        """Some of the views."""
        masks = None if self.masks is None else self.masks[rows]
        groups = [self.groups[row] for row in rows]
        return replace(self, views=self.views[rows], groups=groups, masks=masks, truth=self.truth[rows])

    def halves(self, fraction: float, most: int, seed: int) -> tuple[ValidationViews, ValidationViews]:
        """Two parts without a common group: about `fraction` of the views (`most` at the most), and the rest.

        Raises:
            InputError: there is but one group.
        """
        names = sorted(set(self.groups))
        if len(names) < 2:
            raise InputError(
                f"val has {len(names)} group", "two at least: one sets the ranges of INT8, the rest measures"
            )
        order = np.random.default_rng(seed).permutation(len(names))
        wanted, first = min(fraction * len(self), most), set[str]()
        for index in order[:-1]:
            if first and sum(group in first for group in self.groups) >= wanted:
                break
            first.add(names[index])
        inside = np.array([group in first for group in self.groups])
        return self.part(np.flatnonzero(inside)[:most]), self.part(np.flatnonzero(~inside))


def validation_views(task: str, recipe: Recipe, data: Path) -> ValidationViews:
    """The val split, as the recipe's sampler shows it to the network.

    Raises:
        InputError: there is no val split, or it cannot be read.
    """
    config = load_task(task)
    reader = ViewReader(config)
    if recipe.sampler == "lesions":
        return _lesions(reader, recipe, data)
    examples, _ = read_examples(data, "val", int(config.train.get("readers", 1)))
    shown = [_show(reader, example, recipe) for example in examples]
    classes = ClassNames.of(recipe.labels)
    columns = [index for index, label in enumerate(recipe.labels) if label.kind == "class"]
    indices = [classes.index(example.label) for example in examples]
    truth = [-1 if index is None else index for index in indices]
    return ValidationViews(
        np.stack([view for view, _ in shown]),
        [example.group for example in examples],
        np.stack([mask for _, mask in shown]) if recipe.masks else None,
        columns,
        np.array(truth, np.int64),
    )


def _show(reader: ViewReader, example: Example, recipe: Recipe) -> tuple[Float32s, Bools]:
    """One picture fitted into a square, or a square cut out of it; and the mask of that."""
    side = recipe.phases[-1].size
    view = reader.picture(example.image)
    marked = example.mask(view.shape[:2]) if recipe.masks else None
    mask = np.zeros(view.shape[:2], bool) if marked is None else marked
    image, plane = np.ascontiguousarray(view.transpose(2, 0, 1)), mask[None].astype(np.float32)
    if recipe.sampler == "pictures":
        return fit(image, side), fit(plane, side)[0] > 0.5
    corner = _corner(mask, side)
    return cut(image, corner, side), cut(plane, corner, side)[0] > 0.5


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


def _lesions(reader: ViewReader, recipe: Recipe, data: Path) -> ValidationViews:
    """Off-centre sub-crops around lesions, and the rating that the data are labelled with."""
    scans = load_ct_pictures(read_index(data, "val"), recipe.readers, reader.config.picture, reader.depth_mm)
    windows = scans.off_centre(recipe.phases[-1].size, recipe.seed)
    crops = [scans.cut(index, window) for index, window in enumerate(windows)]
    views = [reader.ct(hu, str(row.image)) for row, (hu, _) in zip(scans.rows, crops, strict=True)]
    names = [label.name for label in recipe.labels]
    column = [names.index("malignancy")] if "malignancy" in names else []
    known = {"benign": 0, "malignant": 1}
    truth = np.array([known.get(normalised(row.label), -1) for row in scans.rows], np.int64)
    groups = [row.group for row in scans.rows]
    stack = np.stack([view[None] if view.ndim == 2 else view.transpose(2, 0, 1) for view in views])
    return ValidationViews(stack, groups, np.stack([mask for _, mask in crops]), column, truth)


def batches(views: Float32s, size: int) -> Sequence[Float32s]:
    """The views in batches of at most `size`."""
    return [views[start : start + size] for start in range(0, len(views), size)]
