"""What the class logits of a whole image mean: probabilities, and which label comes first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Float32s
from medvis.model.card import Card, Label
from medvis.ops.tta import sigmoid


class Share(NamedTuple):
    """A label, its place among the card's, and its calibrated probability."""

    place: int
    label: Label
    probability: float


def exclusive(card: Card) -> bool:
    """Whether the labels are classes of which one is right."""
    return any(label.kind == "class" for label in card.labels)


def chosen(card: Card) -> list[int]:
    """Places of the labels that speak of the whole image: the classes; without, the binary ones; without, all."""
    for kind in ("class", "binary"):
        found = [index for index, label in enumerate(card.labels) if label.kind == kind]
        if found:
            return found
    return list(range(len(card.labels)))


def summed(card: Card) -> bool:
    """Whether the logits of the classes are the mean over the cells of the evidence, which no mask has taught."""
    return exclusive(card) and len(chosen(card)) > 1 and not card.masks


def probabilities(logits: NDArray[np.floating], card: Card, axis: int = -1) -> Float32s:
    """Logits of the `chosen` labels → calibrated probabilities.

    Args:
        logits: [...], with the chosen labels along `axis`.
        card: its temperature is that of the classes; a binary label has its own Platt scaling.
        axis: of the labels.

    Returns:
        float32 of the same shape: classes sum to 1 along `axis`; a rating gives its place between low and high.
    """
    values = np.moveaxis(np.asarray(logits, np.float32), axis, -1)
    if exclusive(card):
        scaled = values / np.float32(card.calibration.get("temperature", 1.0))
        grown = np.exp(scaled - scaled.max(-1, keepdims=True))
        shares = grown / grown.sum(-1, keepdims=True)
    else:
        slope, shift = np.array([card.labels[index].platt for index in chosen(card)], np.float32).T
        shares = sigmoid(values * slope + shift)
    return np.asarray(np.moveaxis(shares, -1, axis), np.float32)


def ranked(logits: NDArray[np.floating], card: Card) -> list[Share]:
    """The chosen labels, likeliest first; the card's order decides ties.

    Args:
        logits: [k], of all labels of the card.
        card: of the model.
    """
    places = chosen(card)
    shares = probabilities(logits[places], card)
    found = [Share(place, card.labels[place], float(share)) for place, share in zip(places, shares, strict=True)]
    return sorted(found, key=lambda share: -share.probability)


def leading(shares: list[Share]) -> Share:
    """The likeliest label that is not normal; the likeliest of all if every one is."""
    return next((share for share in shares if not share.label.normal), shares[0])


def abnormal(shares: list[Share]) -> float:
    """Probability that there is something to find: of all classes but the normal ones.

    Where no class is normal, that of the likeliest label.
    """
    if not any(share.label.normal for share in shares):
        return shares[0].probability
    return min(1.0, sum(share.probability for share in shares if not share.label.normal))
