"""A small CT phantom as a scan, and a predictor in numpy that finds bright blobs: what stages are tried on."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from tiny_bundle import pipeline_of, tiny_card

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.model.card import Card
from medvis.phantom.series import geometry_of
from medvis.phantom.volume import NoduleSpec, PhantomSpec, chest_phantom
from medvis.pipeline import Pipeline

NODULES = (
    NoduleSpec((0, -34, -88), 11.0),
    NoduleSpec((0, 36, -78), 9.5),
    NoduleSpec((0, 14, 92), 20.0),
)
SPEC = PhantomSpec(frames=5, shape=(320, 320), spacing=(1.1, 1.1), slice_spacing=2.5, nodules=NODULES)
EVERYWHERE = {"stages.infer.region": "all", "stages.refine.method": "none"}


@cache
def phantom():
    hu, labels = chest_phantom(SPEC)
    for array in (hu, labels):
        array.flags.writeable = False
    return hu, labels


def truth() -> np.ndarray:
    """int32 [frames, rows, cols], the number of the nodule; read-only."""
    return phantom()[1]


def chest(**changes) -> Scan:
    """The phantom as a CT scan whose pixels nobody can write into."""
    return scan_of(phantom()[0], **{"geometry": geometry_of(SPEC), **changes})


def scan_of(frames: np.ndarray, **changes) -> Scan:
    """A CT scan of [frames, rows, cols] in HU."""
    facts = {
        "pixels": np.asarray(frames, np.float32)[..., None],
        "geometry": Geometry(spacing=(1.0, 1.0)),
        "source": Source("chest", "phantom", "0" * 64, files=tuple(f"{i}.dcm" for i in range(len(frames)))),
        "unit": "HU",
        "modality": "CT",
        "body_part": "CHEST",
        "bits": 16,
    }
    return Scan(**{**facts, **changes})


class Blobs:
    """A predictor without a network: what is bright (above `level` of the view) and no thin vessel.

    Its mask logit depends on 2 px around a pixel only, so that it must not matter how an image is cut.
    """

    def __init__(self, level: float = 0.4, **card) -> None:
        self.card = Card.model_validate(tiny_card(**card))
        self.level = level
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, batch, outputs):
        self.batches.append(batch.shape)
        logits = np.stack([self._logits(image[0]) for image in batch])[:, None]
        count, _, rows, cols = logits.shape
        cells = logits.reshape(count, 1, rows // 8, 8, cols // 8, 8).mean((3, 5))
        evidence = np.concatenate([cells, 0.1 * cells], 1)
        given = {
            "mask_logits": logits,
            "evidence": evidence,
            "class_logits": evidence.mean((2, 3)),
            "embedding": np.repeat(batch.mean((2, 3)), 4, 1),
        }
        return {name: given[name] for name in outputs}

    def _logits(self, image):
        round_5 = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        bright = cv2.morphologyEx(image, cv2.MORPH_OPEN, round_5)
        return ((bright - self.level) * 30).clip(-15, 15).astype(np.float32)


def pipeline(overrides=None, predictor=None, task: str = "lung-nodule") -> Pipeline:
    """The bundled task with the blob finder in place of its model."""
    return pipeline_of(task, overrides, predictor or Blobs())
