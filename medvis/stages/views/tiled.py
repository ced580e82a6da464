"""The first pass of a tiled task: native resolution, one view, over the search region."""

from __future__ import annotations

import cv2

from medvis.core.arrays import Bools, Float32s
from medvis.core.case import Prediction
from medvis.core.logits import sigmoid
from medvis.model.predictor import Predictor
from medvis.ops.tiles import TileAccumulator, blend, cover, cut
from medvis.stages.views.settings import InferSettings


class FirstPass:
    """Calls the model on every tile that holds a part of the region, and blends the tiles."""

    def __init__(self, predictor: Predictor, settings: InferSettings) -> None:
        self.predictor, self.settings = predictor, settings

    def __call__(self, image: Float32s, region: Bools) -> tuple[Float32s, Float32s]:
        """Args: image float32 [c, rows, cols]; region bool [rows, cols].

        Returns:
            Mask logits [m, rows, cols], `Prediction.OUTSIDE` outside the region, and the evidence [rows, cols] for
            the first label in 0…1, 0 outside the region.
        """
        shape = region.shape
        # A tile is no larger than the image: mirrored surroundings only mislead.
        unit = self.predictor.card.input.multiple_of
        size = min(self.settings.tile, -(-max(shape) // unit) * unit)
        overlap = min(self.settings.overlap, size // 2)
        weight = blend(size, overlap)
        masks = TileAccumulator(len(self.predictor.card.masks), shape, Prediction.OUTSIDE)
        evidence = TileAccumulator(1, shape, Prediction.OUTSIDE)
        for corner in cover(region, size, overlap):
            outputs = self.predictor(cut(image, corner, size)[None], ("mask_logits", "evidence"))
            masks.add(outputs["mask_logits"][0], corner, weight)
            first = cv2.resize(outputs["evidence"][0, 0], (size, size), interpolation=cv2.INTER_LINEAR)
            evidence.add(first[None], corner, weight)
        logits, probability = masks.mean(), sigmoid(evidence.mean()[0])
        logits[:, ~region], probability[~region] = Prediction.OUTSIDE, 0.0
        return logits, probability
