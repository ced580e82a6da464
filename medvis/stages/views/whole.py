"""A whole task: the entire image in one square view, at several scales and flips."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from medvis.core.arrays import Float32s
from medvis.core.case import Prediction
from medvis.core.labels import ClassDistribution
from medvis.core.logits import sigmoid
from medvis.model.card import OUTPUTS, Card
from medvis.model.predictor import Predictor
from medvis.ops.fit import fit, side_of, spread, unfit
from medvis.ops.tta import AugmentedView, Merge, backward, forward, plan
from medvis.stages.views.settings import InferSettings

GRID = 8  # px a cell of the evidence


class WholeImageViews:
    """One frame, and the merged outputs of its views so far: all maps are of its square view of side `card.input.crop`.

    Attributes:
        masks: mask logits [m, side, side].
        evidence: [k, side/8, side/8] of all labels, so that the one to show can be chosen in the end.
    """

    def __init__(self, card: Card) -> None:
        self.card, self.side = card, card.input.crop
        self.masks, self.evidence = Merge(), Merge()
        self._logits: list[Float32s] = []
        self._weights: list[float] = []
        self._embedding: list[Float32s] = []

    def add(self, view: AugmentedView, outputs: dict[str, Float32s]) -> None:
        """One more view: mask logits [m, s, s] (if any), evidence [k, s/8, s/8], class logits [k], embedding [d]."""
        if "mask_logits" in outputs:
            self.masks.add(spread(_upright(outputs["mask_logits"], view), self.side), view.weight)
        self.evidence.add(spread(_upright(outputs["evidence"], view), self.side // GRID), view.weight)
        self._logits.append(outputs["class_logits"])
        self._weights.append(view.weight)
        self._embedding.append(outputs["embedding"])

    @property
    def count(self) -> int:
        """Views so far."""
        return len(self._logits)

    @property
    def logits(self) -> Float32s:
        """Float32 [k], the mean over the views."""
        return np.asarray(np.average(self._logits, axis=0, weights=self._weights), np.float32)

    @property
    def deviation(self) -> Float32s:
        """Float32 [k], the sd of each label's probability over the views."""
        logits, weights, labels = np.stack(self._logits), self._weights, self.card.label_set
        probability = sigmoid(logits)
        probability[:, labels.image_level] = labels.probabilities(logits[:, labels.image_level])
        mean = np.average(probability, axis=0, weights=weights)
        return np.asarray(np.sqrt(np.average((probability - mean) ** 2, axis=0, weights=weights)), np.float32)

    @property
    def embedding(self) -> Float32s:
        """Float32 [d], the mean over the views."""
        return np.asarray(np.mean(self._embedding, axis=0), np.float32)

    def distribution(self) -> ClassDistribution:
        """The probabilities of the classes, of the logits merged so far."""
        return self.card.label_set.distribution(self.logits)

    def settled(self, agree: float) -> bool:
        """Whether the views agree so well that more of them would change nothing."""
        if self.count < 2 or float(self.deviation[self.card.label_set.image_level].max()) >= agree:
            return False
        if not self.masks.count:
            return True
        inside = self.masks.logits.max(0) > 0
        return not inside.any() or float(self.masks.spread.max(0)[inside].mean()) < agree

    def outlined(self, shape: tuple[int, int]) -> tuple[Float32s, Float32s]:
        """Mask logits [m, rows, cols] and their spread [rows, cols] on the frame's own grid."""
        if not self.masks.count:
            return np.zeros((0, *shape), np.float32), np.zeros(shape, np.float32)
        deviation = self.masks.spread.max(0, keepdims=True)
        return unfit(self.masks.logits, shape, self.side), unfit(deviation, shape, self.side)[0]

    def shown(self, label: int, shape: tuple[int, int]) -> Float32s:
        """The evidence for a label [rows, cols]: what each cell adds to its class in log-odds, else a probability.

        The cells of a network without masks are taught by the class of the whole image alone. The softmax of a single
        one is no probability, and lies near 1 almost everywhere.
        """
        maps, labels = self.evidence.logits, self.card.label_set
        classes = maps[labels.image_level]
        if labels.pooled:
            own = labels.image_level.index(label)
            evidence = maps[label] - np.logaddexp.reduce(np.delete(classes, own, 0), axis=0)
        elif labels.exclusive:
            evidence = labels.probabilities(classes, axis=0)[labels.image_level.index(label)]
        else:
            evidence = sigmoid(maps[label])
        return np.asarray(unfit(evidence[None], shape, self.side)[0], np.float32)


def predict_whole(view: Float32s, predictor: Predictor, settings: InferSettings) -> Prediction:
    """Every frame in all views; the class logits are those of the frame on which there is most to find.

    The image is first fitted into the square that the model was trained on (`card.input.crop`), its shape kept.
    """
    shape, card = (view.shape[1], view.shape[2]), predictor.card
    frames = [_views_of(np.ascontiguousarray(frame.transpose(2, 0, 1)), predictor, settings) for frame in view]
    distributions = [frame.distribution() for frame in frames]
    most = max(range(len(frames)), key=lambda index: distributions[index].abnormal)
    strongest, label = frames[most], distributions[most].leading.index
    outlines = [frame.outlined(shape) for frame in frames]
    evidence = np.stack([frame.shown(label, shape) for frame in frames])
    return Prediction(
        mask_logits=np.stack([masks for masks, _ in outlines]),
        spread=np.stack([deviation for _, deviation in outlines]),
        evidence=over_highest(evidence) if card.label_set.pooled else evidence,
        labels=tuple(label.name for label in card.labels),
        logits=strongest.logits,
        logits_spread=strongest.deviation,
        embedding=strongest.embedding,
        distribution=distributions[most],
        views=sum(frame.count for frame in frames),
    )


def over_highest(odds: Float32s) -> Float32s:
    """Log-odds of any shape → float32 in 0…1: over the highest of them; what speaks against the class is 0."""
    return np.asarray((odds / max(float(odds.max()), 1e-6)).clip(0, 1), np.float32)


def _views_of(image: Float32s, predictor: Predictor, settings: InferSettings) -> WholeImageViews:
    """One frame [channels, rows, cols]: the flips of a scale go through the model as one batch."""
    card = predictor.card
    whole = WholeImageViews(card)
    for scale, group in groupby(plan(settings.scales, settings.flips), key=lambda view: view.scale):
        square = fit(image, side_of(card.input.crop, scale, card.input.multiple_of))
        _run(whole, square, list(group), predictor)
        if settings.agree and whole.settled(settings.agree):
            break
    return whole


def _run(whole: WholeImageViews, square: Float32s, views: Sequence[AugmentedView], predictor: Predictor) -> None:
    wanted = [name for name in OUTPUTS if name != "mask_logits" or predictor.card.masks]
    batch = np.stack([forward(square, AugmentedView(1.0, view.flip), 1) for view in views])
    outputs = predictor(batch, wanted)
    for index, view in enumerate(views):
        whole.add(view, {name: values[index] for name, values in outputs.items()})


def _upright(maps: Float32s, view: AugmentedView) -> Float32s:
    """The maps of a square view, turned back from its flip."""
    return backward(maps, AugmentedView(1.0, view.flip), (maps.shape[-2], maps.shape[-1]))
