"""Trained bundles, data only: NAME/model.onnx and NAME/card.yaml."""

from __future__ import annotations

from pathlib import Path

CHEST_TB = Path(__file__).parent / "chest-tb"
LUNG_NODULE = Path(__file__).parent / "lung-nodule"
STEEL = Path(__file__).parent / "steel"
