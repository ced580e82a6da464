"""The closer crop: every candidate in a crop of its own, at several scales and flips, until the views agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from medvis.core.arrays import Bools, Float32s
from medvis.core.case import CandidateRow, Candidates
from medvis.core.logits import sigmoid
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.ops.candidates import CandidateRegion, attention_pooling, candidate_regions, region_mask
from medvis.ops.tiles import TileAccumulator, blend, cut
from medvis.ops.tta import AugmentedView, Merge, backward, forward, plan
from medvis.stages.scoring import finding_probability, outline_features
from medvis.stages.views.settings import CandidateSettings, InferSettings

# Pixels around a candidate that still count as its own: its rim on the first pass is uncertain.
MARGIN = 3
# Views that enlarge by more than this show only the middle of the crop: nearer, not costlier.
NEAR = 4 / 3
OUTPUTS = ("mask_logits", "evidence", "embedding")


class CandidateCrop:
    """One candidate in a crop of its own, and the merged outputs of its views so far.

    Attributes:
        center: (row, col) on the frame.
        corner, size: of its crop on the frame; moved inside the frame where that is large enough: what is really
            there is better than a mirrored edge.
        masks: mask logits [m, s, s]; `classes`: class logits [k]; `embedding` [d]: summed over the views.
    """

    def __init__(self, image: Float32s, region: CandidateRegion, least: int) -> None:
        self.center = region.center
        # Twice the candidate where that is larger than the settings' crop, in steps of 32 up to 320.
        self.size = min(max(least, -(-2 * region.extent // 32) * 32), 320)
        rows, cols = image.shape[1:]
        self.corner = (_start(region.center[0], self.size, rows), _start(region.center[1], self.size, cols))
        self.pixels = cut(image, self.corner, self.size)
        self.own = region_mask(region, self.corner, self.size, MARGIN)
        self.masks, self.classes = Merge(), Merge()
        self.embedding: Float32s | None = None

    def field(self, view: AugmentedView) -> tuple[slice, slice]:
        """Rows and columns of the crop that a view shows; the first one always shows all."""
        side = self.size
        if view.scale > NEAR and self.masks.count:
            side = 2 * round(self.size * NEAR / view.scale / 2)
        starts = [_start(self.center[axis] - self.corner[axis], side, self.size) for axis in (0, 1)]
        return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)

    def input_of(self, view: AugmentedView, multiple_of: int) -> Float32s:
        """The input of the network for a view of the crop: float32 [c, h, w]."""
        return forward(self.pixels[:, *self.field(view)], view, multiple_of)

    def add(
        self, view: AugmentedView, mask: Float32s, evidence: Float32s, embedding: Float32s, multiple_of: int
    ) -> None:
        """One more view: mask logits [m, h, w], evidence [k, h/8, w/8], embedding [d] on the grid of the view."""
        rows, cols = self.field(view)
        side = rows.stop - rows.start
        here = forward(self.own[None, rows, cols], view, multiple_of)[0]
        self.classes.add(attention_pooling(evidence, sigmoid(mask.max(0)), here), view.weight)
        flat = backward(mask, view, (side, side))
        if side == self.size:
            self.masks.add(flat, view.weight)
        else:
            logits, weight = np.zeros((len(flat), self.size, self.size), np.float32), np.zeros_like(self.own)
            logits[:, rows, cols], weight[rows, cols] = flat, view.weight * blend(side, side // 8)
            self.masks.add(logits, weight)
        self.embedding = embedding if self.embedding is None else self.embedding + embedding

    def settled(self, settings: CandidateSettings, card: Card) -> bool:
        """Whether more views would change nothing: it is no finding after all, or all views agree."""
        if self.masks.count < 2:
            return False
        logits = self.masks.logits.max(0)
        inside = (self.own > 0) & (logits > 0)
        if not inside.any() or self._probability(logits, inside, card) < settings.reject:
            return True
        return self.masks.count >= 4 and float(self.masks.spread.max(0)[inside].mean()) < settings.agree

    def summary(self, frame: int) -> CandidateRow:
        """The candidate as a row; its maps have been written into those of the frame."""
        (row, col), count = self.corner, self.masks.count
        return CandidateRow(
            frame=frame,
            box=(row, col, row + self.size, col + self.size),
            center=self.center,
            logits=self.classes.logits,
            spread=self.classes.spread,
            embedding=None if self.embedding is None else np.asarray(self.embedding / count, np.float32),
            views=count,
        )

    def _probability(self, logits: Float32s, inside: Bools, card: Card) -> float:
        """That this is a true finding, as `segment` will say if no more views come."""
        values = outline_features(logits, self.masks.spread.max(0), inside)
        of_class = {"class": float(self.classes.logits[0]), "class_spread": float(self.classes.spread[0])}
        return finding_probability({**values, **of_class}, card)


def _start(center: float, size: int, limit: int) -> int:
    """First of `size` pixels around a centre, inside 0…limit; around its middle where `limit` is less."""
    if limit < size:
        return (limit - size) // 2
    return min(max(round(center - size / 2), 0), limit - size)


class CandidateViews:
    """Classifies and outlines the candidates of one frame again, each in a crop of its own, in several views."""

    def __init__(self, predictor: Predictor, settings: InferSettings) -> None:
        self.predictor, self.settings = predictor, settings.candidate
        self.multiple_of = predictor.card.input.multiple_of
        self.views = plan(settings.scales, settings.flips)

    def __call__(self, image: Float32s, logits: Float32s, spread: Float32s) -> list[CandidateCrop]:
        """The candidates of a frame; their merged maps are written into the frame's own.

        Args:
            image: float32 [c, rows, cols].
            logits: float32 [m, rows, cols] of the first pass; replaced under the crops.
            spread: float32 [rows, cols]; filled under the crops.
        """
        regions = candidate_regions(sigmoid(logits.max(0)), self.settings.probability, self.settings.most)
        crops = [CandidateCrop(image, region, self.settings.crop) for region in regions]
        for view in self.views:
            self._run([crop for crop in crops if not crop.settled(self.settings, self.predictor.card)], view)
        self._write(crops, logits, spread)
        return crops

    def _run(self, crops: Iterable[CandidateCrop], view: AugmentedView) -> None:
        """One view of all these candidates: what is of one size goes through the model as one batch."""
        sizes = defaultdict(list)
        for crop in crops:
            sizes[crop.size].append(crop)
        for group in sizes.values():
            batch = np.stack([crop.input_of(view, self.multiple_of) for crop in group])
            outputs = self.predictor(batch, OUTPUTS)
            for crop, *own in zip(group, *(outputs[name] for name in OUTPUTS), strict=True):
                crop.add(view, *own, self.multiple_of)

    @staticmethod
    def _write(crops: list[CandidateCrop], logits: Float32s, spread: Float32s) -> None:
        shape = (logits.shape[1], logits.shape[2])
        fresh, deviation = TileAccumulator(len(logits), shape, 0.0), TileAccumulator(1, shape, 0.0)
        for crop in crops:
            weight = blend(crop.size, crop.size // 4)
            fresh.add(crop.masks.logits, crop.corner, weight)
            deviation.add(crop.masks.spread.max(0, keepdims=True), crop.corner, weight)
        # Pixels that were never searched keep the logit of the outside.
        searched = (fresh.weight > 0) & (logits.max(0) > -20)
        logits[:, searched] = fresh.mean()[:, searched]
        spread[searched] = deviation.mean()[0][searched]


def candidates_of(rows: Sequence[CandidateRow], card: Card) -> Candidates:
    """`Candidates` from their rows."""
    count, width = len(rows), len(card.labels)
    embeddings = [row.embedding for row in rows if row.embedding is not None]
    return Candidates(
        frame=np.array([row.frame for row in rows], np.int32),
        box=np.array([row.box for row in rows], np.int32).reshape(count, 4),
        center=np.array([row.center for row in rows], np.float32).reshape(count, 2),
        logits=np.array([row.logits for row in rows], np.float32).reshape(count, width),
        spread=np.array([row.spread for row in rows], np.float32).reshape(count, width),
        embedding=np.array(embeddings, np.float32).reshape(count, -1 if count else 0),
        views=np.array([row.views for row in rows], np.int32),
    )
