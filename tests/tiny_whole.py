"""Pictures, and a predictor in numpy that classifies them by their tone: what tasks of kind `whole` are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tiny_bundle import tiny_card

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.model.card import Card

NO_SPACING = "a picture"
CHEST = [{"name": "tuberculosis", "kind": "class"}, {"name": "normal", "kind": "class", "normal": True}]
BREAST = [
    {"name": "benign", "kind": "class"},
    {"name": "malignant", "kind": "class"},
    {"name": "normal", "kind": "class", "normal": True},
]
STEEL = [{"name": name, "kind": "class"} for name in ("dark", "middling", "bright")]
INPUT = {"channels": 1, "multiple_of": 32, "crop": 64, "unit": "grey"}
CLASSES_ONLY = ("window", "enhance", "infer", "classify", "judge", "explain")
OUTLINED = ("window", "enhance", "infer", "classify", "segment", "measure", "judge", "explain")


def picture(pixels: np.ndarray, **changes: Any) -> Scan:
    """A picture of [rows, cols], [rows, cols, 3] or [frames, rows, cols, channels], 0…255, without spacing."""
    shape = {2: (1, *pixels.shape, 1), 3: (1, *pixels.shape), 4: pixels.shape}[pixels.ndim]
    facts = {
        "pixels": np.asarray(pixels, np.float32).reshape(shape),
        "geometry": Geometry(reasons={"spacing": NO_SPACING}),
        "source": Source("picture.png", "png", "0" * 64, files=("picture.png",)),
    }
    return Scan(**{**facts, **changes})


def patch(shape=(64, 128), box=(0, 64, 32, 96), ground=40, tone=230) -> np.ndarray:
    """A dark picture with one bright patch."""
    pixels = np.full(shape, float(ground))
    pixels[box[0] : box[2], box[1] : box[3]] = tone
    return pixels


def whole_card(labels: list[dict[str, Any]], **changes: Any) -> Card:
    """A card of classes, without masks unless `changes` say so."""
    return Card.model_validate(
        tiny_card(**{"labels": labels, "masks": [], "input": INPUT, "thresholds": {}, **changes})
    )


class Tones:
    """A predictor without a network: each label has a tone it likes, and the evidence for it is how near a cell is.

    Args:
        labels: of the card.
        tones: label → (gain, tone 0…1): its evidence is gain · (0.25 − |cell − tone|), cut off at −0.02 · gain;
            other labels have none.
        card: more of the card; with `masks`, what is above 0.6 is outlined.
    """

    def __init__(self, labels: list[dict[str, Any]], tones: dict[str, tuple[float, float]], **card: Any) -> None:
        self.card, self.tones = whole_card(labels, **card), tones
        self.batches: list[tuple[int, ...]] = []
        self.asked: set[str] = set()

    def __call__(self, batch, outputs):
        self.batches.append(batch.shape)
        self.asked |= set(outputs)
        count, _, rows, cols = batch.shape
        grey = batch.mean(1)
        cells = grey.reshape(count, rows // 8, 8, cols // 8, 8).mean((2, 4))
        evidence = np.stack([self._evidence(label.name, cells) for label in self.card.labels], 1)
        given = {
            "mask_logits": ((grey - 0.6) * 30).clip(-12, 12)[:, None].astype(np.float32),
            "evidence": evidence,
            "class_logits": evidence.mean((2, 3)),
            "embedding": np.repeat(batch.mean((1, 2, 3))[:, None], 4, 1),
        }
        return {name: given[name] for name in outputs}

    def _evidence(self, label, cells):
        gain, tone = self.tones.get(label, (0.0, 0.0))
        return (gain * np.maximum(0.25 - np.abs(cells - tone), -0.02)).astype(np.float32)


def write_whole(folder: Path, stages: tuple[str, ...] = CLASSES_ONLY, **changes: Any) -> str:
    """Writes a task of kind `whole`; `changes` go over its body, `settings` into its stages."""
    settings = {
        "window": {"range": "stored", "grey": True},
        "enhance": {"method": "none"},
        "infer": {"scales": {1.0: 1.0, 0.5: 0.5}, "flips": ["none", "horizontal"]},
        "explain": {"floor": 0.0},
        **changes.pop("settings", {}),
    }
    body = {
        "task": "tones",
        "title": "Tones of pictures",
        "kind": "whole",
        "accepts": {"modalities": ["US", "CR", "DX"], "channels": [1, 3], "raster": True, "auto": False},
        "taxonomy": {"finding": "bright patch"},
        "stages": {name: settings.get(name, {}) for name in stages},
        **changes,
    }
    path = folder / f"{body['task']}.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return str(path)
