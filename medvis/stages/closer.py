"""The closer look: every candidate in a crop of its own, at several scales and flips, until the views agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medvis.core.card import Card
from medvis.core.case import Candidates, Floats
from medvis.core.protocols import Predictor
from medvis.ops.lookout import Spot, attend, spots, stamp
from medvis.ops.tiles import Canvas, blend, cut
from medvis.ops.tta import Merge, View, backward, forward, plan, sigmoid

if TYPE_CHECKING:
    from medvis.stages.infer import InferSettings

# Pixels around a candidate that still count as its own: its rim on the first pass is uncertain.
MARGIN = 3


@dataclass(frozen=True)
class Look:
    """One candidate after its closer look; shapes as in `core.case.Candidates`, for one row."""

    corner: tuple[int, int]
    size: int
    center: tuple[float, float]
    mask_logits: Floats
    mask_spread: Floats
    logits: Floats
    spread: Floats
    embedding: Floats
    views: int


class Closer:
    """Looks again at the candidates of one frame."""

    def __init__(self, predictor: Predictor, settings: InferSettings) -> None:
        self.predictor, self.settings = predictor, settings.candidate
        self.multiple_of = predictor.card.input.multiple_of
        self.views = plan(settings.scales, settings.flips)

    def __call__(self, image: Floats, logits: Floats, spread: Floats) -> list[Look]:
        """Looks at every candidate of a frame and writes what it saw into the frame's own maps.

        Args:
            image: float32 [c, rows, cols].
            logits: float32 [m, rows, cols] of the first pass; replaced under the crops.
            spread: float32 [rows, cols]; filled under the crops.
        """
        found = spots(sigmoid(logits.max(0)), self.settings.probability, self.settings.most)
        looks = [self._look(image, spot) for spot in found]
        shape = (image.shape[1], image.shape[2])
        fresh, deviation = Canvas(len(logits), shape, 0.0), Canvas(1, shape, 0.0)
        for look in looks:
            weight = blend(look.size, look.size // 4)
            fresh.add(look.mask_logits, look.corner, weight)
            deviation.add(look.mask_spread.max(0, keepdims=True), look.corner, weight)
        # Nothing is said about places that were never searched.
        seen = (fresh.weight > 0) & (logits.max(0) > -20)
        logits[:, seen] = fresh.mean()[:, seen]
        spread[seen] = deviation.mean()[0][seen]
        return looks

    def _look(self, image: Floats, spot: Spot) -> Look:
        size = self._side(spot)
        corner = (round(spot.center[0] - size / 2), round(spot.center[1] - size / 2))
        crop = cut(image, corner, size)
        own = stamp(spot, corner, size, MARGIN)
        masks, classes = Merge(), Merge()
        embedding = np.zeros(0, np.float32)
        for count, view in enumerate(self.views, start=1):
            mask, logits, vector = self._see(crop, own, view)
            masks.add(mask, view.weight)
            classes.add(logits, view.weight)
            embedding = vector if count == 1 else embedding + vector
            if self._settled(count, masks, own):
                break
        return Look(
            corner, size, spot.center, masks.logits, masks.spread, classes.logits, classes.spread,
            np.asarray(embedding / masks.count, np.float32), masks.count,
        )  # fmt: skip

    def _see(self, crop: Floats, own: Floats, view: View) -> tuple[Floats, Floats, Floats]:
        """(mask logits [m, s, s], class logits [k], embedding [d]) of one view."""
        given = self.predictor(forward(crop, view, self.multiple_of)[None], ("mask_logits", "evidence", "embedding"))
        mask = given["mask_logits"][0]
        here = forward(own[None], view, self.multiple_of)[0]
        logits = attend(given["evidence"][0], sigmoid(mask.max(0)), here)
        return backward(mask, view, (crop.shape[1], crop.shape[2])), logits, given["embedding"][0]

    def _settled(self, count: int, masks: Merge, own: Floats) -> bool:
        if count < 2:
            return False
        inside = own > 0
        peak = float(sigmoid(masks.logits.max(0))[inside].max(initial=0))
        if peak < self.settings.reject:
            return True
        return count >= 4 and float(masks.spread.max(0)[inside].mean()) < self.settings.agree

    def _side(self, spot: Spot) -> int:
        """The crop's side: the settings', or twice the candidate where that is larger, in steps of 32 up to 320."""
        need = -(-2 * spot.extent // 32) * 32
        return min(max(self.settings.crop, need), 320)


def gather(looks: list[tuple[int, Look]], card: Card) -> Candidates:
    """The columns of `Candidates` from (frame, look) pairs."""
    count, width = len(looks), len(card.labels)
    boxes = [(*look.corner, look.corner[0] + look.size, look.corner[1] + look.size) for _, look in looks]
    depth = looks[0][1].embedding.size if looks else 0
    return Candidates(
        frame=np.array([frame for frame, _ in looks], np.int32),
        box=np.array(boxes, np.int32).reshape(count, 4),
        center=np.array([look.center for _, look in looks], np.float32).reshape(count, 2),
        logits=np.array([look.logits for _, look in looks], np.float32).reshape(count, width),
        spread=np.array([look.spread for _, look in looks], np.float32).reshape(count, width),
        embedding=np.array([look.embedding for _, look in looks], np.float32).reshape(count, depth),
        views=np.array([look.views for _, look in looks], np.int32),
    )
