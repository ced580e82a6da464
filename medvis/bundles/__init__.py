"""Trained bundles, data only: NAME/model.onnx and NAME/card.yaml."""

from __future__ import annotations

from pathlib import Path

BALL_SCREW = Path(__file__).parent / "ball-screw"
BREAST_ULTRASOUND = Path(__file__).parent / "breast-ultrasound"
CHEST_TB = Path(__file__).parent / "chest-tb"
LUNG_NODULE = Path(__file__).parent / "lung-nodule"
STEEL = Path(__file__).parent / "steel"
