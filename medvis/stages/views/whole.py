"""A whole task: the entire image in one view, at several scales and flips."""

from __future__ import annotations

import cv2
import numpy as np

from medvis.core.case import Floats, Prediction
from medvis.core.protocols import Predictor
from medvis.core.scan import Pixels
from medvis.ops.tta import Merge, backward, forward, plan, sigmoid
from medvis.stages.views.settings import InferSettings


def look_at_whole(view: Pixels, predictor: Predictor, settings: InferSettings) -> Prediction:
    """Every frame in all views; the class logits are those of the frame with the strongest first label.

    The image is first fitted into the square that the model was trained on (`card.input.crop`), its shape kept.
    """
    shape = (view.shape[1], view.shape[2])
    factor = predictor.card.input.crop / max(shape)
    frames = [_frame(np.ascontiguousarray(frame.transpose(2, 0, 1)), factor, predictor, settings) for frame in view]
    strongest = max(range(len(frames)), key=lambda index: float(frames[index][2].logits[0]))
    chosen = frames[strongest]
    return Prediction(
        mask_logits=np.stack([masks.logits for masks, *_ in frames]),
        spread=np.stack([masks.spread.max(0) for masks, *_ in frames]),
        evidence=np.stack([evidence for _, evidence, *_ in frames]),
        labels=tuple(label.name for label in predictor.card.labels),
        logits=chosen[2].logits,
        logits_spread=chosen[2].spread,
        embedding=chosen[3],
        views=sum(masks.count for masks, *_ in frames),
    )


def _frame(
    image: Floats, factor: float, predictor: Predictor, settings: InferSettings
) -> tuple[Merge, Floats, Merge, Floats]:
    shape = (image.shape[1], image.shape[2])
    masks, classes = Merge(), Merge()
    evidence, embedding = np.zeros(shape, np.float32), np.zeros(0, np.float32)
    views = plan({scale * factor: weight for scale, weight in settings.scales.items()}, settings.flips)
    for count, view in enumerate(views, start=1):
        given = predictor(
            forward(image, view, predictor.card.input.multiple_of)[None],
            ("class_logits", "mask_logits", "evidence", "embedding"),
        )
        masks.add(backward(given["mask_logits"][0], view, shape), view.weight)
        classes.add(given["class_logits"][0], view.weight)
        seen = given["evidence"][0, :1]
        grown = np.stack([cv2.resize(plane, given["mask_logits"].shape[:1:-1]) for plane in seen])
        evidence += sigmoid(backward(grown, view, shape)[0])
        embedding = given["embedding"][0] if count == 1 else embedding + given["embedding"][0]
    share = np.float32(1 / len(views))
    return masks, np.asarray(evidence * share), classes, np.asarray(embedding * share)
