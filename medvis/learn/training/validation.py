"""What the averaged network reaches on the val split, after an epoch: fixed crops, one view each, no calibration."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from medvis.core.arrays import Bools, Float32s
from medvis.learn.data.ct_pictures import CtPictures
from medvis.learn.data.pictures import Pictures, fitted
from medvis.learn.figures.matching import separate_lesions, touched
from medvis.learn.figures.metrics import auc, confusion_matrix, dice, macro_f1
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import class_targets, planes
from medvis.nets.model import MULTIPLE_OF, Output
from medvis.ops.fit import shape_in_square

See = Callable[[Tensor], Output]
# Figures by name from the network's way to see [b, c, h, w] in 0…1; `val_score` says which epoch is the best.
Validator = Callable[[See], dict[str, float]]
LESION_SIDE = 96


class LesionValidator:
    """Mean Dice at 0.5 on fixed off-centre crops; a miss counts as 0."""

    def __init__(self, scans: CtPictures, recipe: Recipe) -> None:
        windows = scans.off_centre(LESION_SIDE, recipe.seed)
        crops = [scans.cut(index, window) for index, window in enumerate(windows)]
        views = torch.from_numpy(np.stack([planes(view) for view, _ in crops]))
        self.views = views.contiguous(memory_format=torch.channels_last)
        self.truth = np.stack([mask for _, mask in crops])

    def __call__(self, see: See) -> dict[str, float]:
        """{val_dice, val_score}."""
        outputs = [see(self.views[start : start + 32]).mask_logits[:, 0] for start in range(0, len(self.views), 32)]
        predicted = _numpy(torch.cat(outputs)) > 0
        overlap = (predicted & self.truth).sum((1, 2))
        scores = 2 * overlap / np.maximum(predicted.sum((1, 2)) + self.truth.sum((1, 2)), 1)
        return _as_logged({"dice": float(np.mean(scores))})


class PictureValidator:
    """Classes of whole pictures, and Dice of those that hold a target."""

    def __init__(self, pictures: Pictures, recipe: Recipe) -> None:
        self.pictures, self.recipe, self.side = pictures, recipe, recipe.phases[-1].size
        self.views = torch.from_numpy(np.stack([fitted(view, self.side) for view in pictures.views]))
        targets = [class_targets(row, recipe.labels) for row in pictures.rows]
        self.targets, self.known = (np.stack(part) for part in zip(*targets, strict=True))
        self.exclusive = [index for index, label in enumerate(recipe.labels) if label.kind == "class"]

    def __call__(self, see: See) -> dict[str, float]:
        """{val_accuracy, val_macro_f1, val_auc (for classes), val_dice (for masks), val_score}."""
        logits, scores = [], []
        for start in range(0, len(self.views), 16):
            given = see(self.views[start : start + 16])
            logits.append(_numpy(given.class_logits))
            if self.recipe.masks:
                scores += self._scores(_numpy(given.mask_logits[:, 0]) > 0, start)
        figures = self._classes(np.concatenate(logits))
        if scores:
            figures["dice"] = float(np.mean(scores))
        return _as_logged(figures)

    def _scores(self, masks: Bools, start: int) -> list[float]:
        """Dice on each picture's own grid; pictures without a target are left to the classes."""
        scores = []
        for mask, truth in zip(masks, self.pictures.masks[start : start + len(masks)], strict=True):
            if truth is not None and truth.any():
                rows, cols = shape_in_square((truth.shape[0], truth.shape[1]), self.side)
                grown = cv2.resize(mask[:rows, :cols].astype(np.float32), truth.shape[::-1])
                scores.append(dice(np.asarray(grown) > 0.5, truth))
        return scores

    def _classes(self, logits: Float32s) -> dict[str, float]:
        if not self.exclusive:
            return {}
        sure = self.known[:, self.exclusive].any(1)
        exclusive = logits[sure][:, self.exclusive]
        truth = self.targets[sure][:, self.exclusive].argmax(1)
        matrix = confusion_matrix(exclusive.argmax(1), truth, len(self.exclusive))
        odds = exclusive - np.logaddexp.reduce(exclusive, 1, keepdims=True)
        each = [auc(odds[:, index].astype(float), truth == index) for index in range(len(self.exclusive))]
        figures = {"accuracy": float(np.diag(matrix).sum() / max(matrix.sum(), 1)), "macro_f1": macro_f1(matrix)}
        return {**figures, "auc": float(np.mean([value for value in each if np.isfinite(value)] or [np.nan]))}


class TileValidator:
    """Whole large pictures at native resolution: Dice, targets found, and false ones, at 0.5."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __call__(self, see: See) -> dict[str, float]:
        """{val_dice, val_recall, val_extra (false components a picture), val_score}."""
        scores: list[float] = []
        hits: list[bool] = []
        extra = 0
        for view, mask in zip(self.pictures.views, self.pictures.masks, strict=True):
            truth = np.zeros(view.shape[:2], bool) if mask is None else mask
            predicted = self._predicted(view, see)
            if truth.any():
                scores.append(dice(predicted, truth))
            hits += touched(separate_lesions(truth), predicted)
            extra += touched(separate_lesions(predicted), truth).count(False)
        # The score is the Dice alone: recall is perfect as well where everything is outlined.
        figures = _as_logged({"dice": float(np.mean(scores or [0.0]))})
        recall, extras = float(np.mean(hits or [False])), extra / max(len(self.pictures), 1)
        return {**figures, "val_recall": round(recall, 4), "val_extra": round(extras, 3)}

    @staticmethod
    def _predicted(view: Float32s, see: See) -> Bools:
        rows, cols = view.shape[:2]
        pad = ((0, -rows % MULTIPLE_OF), (0, -cols % MULTIPLE_OF), (0, 0))
        planes = np.ascontiguousarray(np.pad(view, pad, mode="symmetric").transpose(2, 0, 1))
        return np.asarray(_numpy(see(torch.from_numpy(planes)[None]).mask_logits[0, 0])[:rows, :cols] > 0)


def _numpy(values: Tensor) -> Float32s:
    return np.asarray(values.float().cpu().numpy(), np.float32)


def _as_logged(figures: dict[str, float]) -> dict[str, float]:
    """As the log has them; the score is the mean of what there is, for figures that are all better when larger."""
    finite = {f"val_{name}": round(value, 4) for name, value in figures.items() if np.isfinite(value)}
    score = float(np.mean(list(finite.values()))) if finite else 0.0
    return {**finite, "val_score": round(score, 4)}
