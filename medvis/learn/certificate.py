"""What quantisation costs: the fp32 and the INT8 graph on the same val crops, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvis.learn.data import GreyScans, Row
from medvis.learn.metrics import auc, dice
from medvis.learn.train import Range

# INT8 ships only if Dice and AUC fall by no more than this, and no more than this share of decisions change.
MOST_LOST = 0.01
MOST_CHANGED = 0.01
BATCH = 16

Views = NDArray[np.float32]
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """What one graph says of all crops: Dice of each, whether a lesion is outlined, the logits of the labels [n, k]."""

    dice: NDArray[np.float64]
    outlined: NDArray[np.bool_]
    logits: NDArray[np.float32]


def views_of(scans: GreyScans, side: int, seed: int, reach: Range) -> tuple[Views, Truth]:
    """Off-centre crops as the network's input [n, 1, side, side], and their targets [n, side, side]."""
    cuts = [scans.cut(index, window) for index, window in enumerate(scans.off_centre(side, seed))]
    return reach.view(np.stack([hu for hu, _ in cuts])).numpy(), np.stack([mask for _, mask in cuts])


def certify(graphs: tuple[Path, Path], views: Views, truth: Truth, rows: list[Row]) -> dict[str, Any]:
    """Dice, malignancy AUC and changed decisions of both graphs; `ships` says which of them is good enough.

    Args:
        graphs: the fp32 and the INT8 graph.
        views: [n, 1, side, side] of `views_of`.
        truth: [n, side, side] of `views_of`.
        rows: of the index behind them, for the ratings.
    """
    fp32, int8 = graphs
    full, small = _see(fp32, views, truth), _see(int8, views, truth)
    rated = np.array([row.label in ("benign", "malignant") for row in rows])
    malignant = np.array([row.label == "malignant" for row in rows])[rated]
    column = min(1, full.logits.shape[1] - 1)
    curves = [auc(seen.logits[rated, column].astype(np.float64), malignant) for seen in (full, small)]
    # The decision on a crop is whether a lesion is outlined: the class logits only enter through fitted weights.
    changed = float((full.outlined != small.outlined).mean())
    lost = float(full.dice.mean() - small.dice.mean())
    # Without rated crops there is no AUC to lose: nan compares as False.
    worse = lost > MOST_LOST or curves[0] - curves[1] > MOST_LOST or changed > MOST_CHANGED
    return {
        "val_crops": len(views),
        "dice": {"fp32": round(float(full.dice.mean()), 4), "int8": round(float(small.dice.mean()), 4)},
        "malignancy_auc": {name: _known(value) for name, value in zip(("fp32", "int8"), curves, strict=True)},
        "decisions_changed": round(changed, 4),
        "bytes": {"fp32": fp32.stat().st_size, "int8": int8.stat().st_size},
        "ships": "fp32" if worse else "int8",
    }


def _known(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)


def _see(graph: Path, views: Views, truth: Truth) -> Seen:
    import onnxruntime  # noqa: PLC0415 - only here

    session = onnxruntime.InferenceSession(graph.read_bytes(), providers=["CPUExecutionProvider"])
    scores, outlined, logits = [], [], []
    for start in range(0, len(views), BATCH):
        masks, classes = session.run(["mask_logits", "class_logits"], {"image": views[start : start + BATCH]})
        scores += [dice(a > 0, b) for a, b in zip(masks[:, 0], truth[start : start + BATCH], strict=True)]
        outlined.append((masks > 0).any((1, 2, 3)))
        logits.append(classes)
    return Seen(np.array(scores), np.concatenate(outlined), np.concatenate(logits))
