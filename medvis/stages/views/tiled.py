"""The first pass of a tiled task: native resolution, one view, over the search region."""

from __future__ import annotations

import cv2

from medvis.core.case import Floats, Prediction
from medvis.core.protocols import Predictor
from medvis.core.scan import Mask
from medvis.ops.tiles import Canvas, blend, cover, cut
from medvis.ops.tta import sigmoid
from medvis.stages.views.settings import InferSettings


class FirstPass:
    """Calls the model on every tile that holds a part of the region, and blends the tiles."""

    def __init__(self, predictor: Predictor, settings: InferSettings) -> None:
        self.predictor, self.size, self.overlap = predictor, settings.tile, settings.overlap
        self.weight = blend(self.size, self.overlap)

    def __call__(self, image: Floats, region: Mask) -> tuple[Floats, Floats]:
        """Args: image float32 [c, rows, cols]; region bool [rows, cols].

        Returns:
            Mask logits [m, rows, cols], `Prediction.OUTSIDE` outside the region, and the evidence [rows, cols] for
            the first label in 0…1, 0 outside the region.
        """
        shape = region.shape
        masks = Canvas(len(self.predictor.card.masks), shape, Prediction.OUTSIDE)
        evidence = Canvas(1, shape, Prediction.OUTSIDE)
        for corner in cover(region, self.size, self.overlap):
            given = self.predictor(cut(image, corner, self.size)[None], ("mask_logits", "evidence"))
            masks.add(given["mask_logits"][0], corner, self.weight)
            first = cv2.resize(given["evidence"][0, 0], (self.size, self.size), interpolation=cv2.INTER_LINEAR)
            evidence.add(first[None], corner, self.weight)
        logits, seen = masks.mean(), sigmoid(evidence.mean()[0])
        logits[:, ~region], seen[~region] = Prediction.OUTSIDE, 0.0
        return logits, seen
