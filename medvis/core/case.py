"""What flows through the pipeline: the scan, and what the stages have added to it so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Labels
from medvis.core.labels import ClassDistribution
from medvis.core.report import Finding, Reading, Verdict
from medvis.core.scan import Scan, Step
from medvis.errors import StageError


@dataclass(frozen=True)
class Candidates:
    """Candidates of a tiled task, each classified in a crop of its own. n rows, one a candidate.

    Attributes:
        frame: int32 [n].
        box: int32 [n, 4], half-open (row0, col0, row1, col1) of the *crop*, may reach over the image's edge.
        center: float32 [n, 2], (row, col) the crop was centred on.
        logits: float32 [n, k], class logits merged over the views.
        spread: float32 [n, k], standard deviation of the class probability over the views.
        embedding: float32 [n, d].
        views: int32 [n], how many views were needed until they agreed.
    """

    frame: NDArray[np.int32]
    box: NDArray[np.int32]
    center: Float32s
    logits: Float32s
    spread: Float32s
    embedding: Float32s
    views: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.frame)


class CandidateRow(NamedTuple):
    """A row of `Candidates`: one candidate of a frame, after all views of it."""

    frame: int
    box: tuple[int, int, int, int]
    center: tuple[float, float]
    logits: Float32s
    spread: Float32s
    embedding: Float32s | None
    views: int


@dataclass(frozen=True)
class Score:
    """One component on one frame, as the model outlined it.

    Attributes:
        label: its number in the mask.
        frame: 0-based.
        area: px.
        candidate: row of the matched candidate, or None.
        probability: calibrated, 0…1.
        spread: sd of the first label's probability over the views, or of the mask's where there is no candidate.
    """

    label: int
    frame: int
    area: int
    candidate: int | None
    probability: float
    spread: float


@dataclass(frozen=True)
class Prediction:
    """The output of the model, on the pixel grid of the scan.

    Attributes:
        mask_logits: float32 [frames, m, rows, cols], merged over views in logit space; outside the searched
            region the logit is `OUTSIDE`.
        spread: float32 [frames, rows, cols], standard deviation of the mask probability over the views.
        evidence: float32 [frames, rows, cols], class activation of the first label (of a whole image with classes
            that exclude each other: of the likeliest one that is not normal), 0 where not searched: a probability
            where masks have taught it, else the log-odds that a cell adds to the class, over the highest of them.
        labels: names of the k class logits, in order (from the card).
        logits, logits_spread, embedding: of the whole image, for a `whole` task; else None.
        distribution: the calibrated probabilities that the logits stand for; None without logits.
        candidates: for a `tiled` task; else None.
        views: how many forward views were merged, over all.
    """

    OUTSIDE = -30.0

    mask_logits: Float32s
    spread: Float32s
    evidence: Float32s
    labels: tuple[str, ...]
    logits: Float32s | None = None
    logits_spread: Float32s | None = None
    embedding: Float32s | None = None
    distribution: ClassDistribution | None = None
    candidates: Candidates | None = None
    views: int = 1


@dataclass(frozen=True)
class Case:
    """A scan and the results of the stages so far. Frozen; `derive` gives the next one.

    The maps of a series (`view`, `region`, `mask`, `evidence`, those of the prediction) may be `Frames`: they read like
    arrays, and cost the memory of one frame as long as they are read frame by frame.

    Attributes:
        scan: in modality units; its pixels are never changed, its trail grows with every stage.
        task: name of the task.
        view: float32 [frames, rows, cols, channels] in 0…1, what the model sees (after window and enhance).
        region: bool [frames, rows, cols], where a tiled task searched; None: everywhere.
        prediction: set by `infer`.
        mask: int32 [frames, rows, cols], 0 or the number of the finding; set by `segment`, changed by `refine`.
        scores: of every finding on every frame, as `segment` outlined it.
        classes: calibrated probabilities of the classes of the whole image, likeliest first; set by `classify`.
        findings: set by `measure`.
        verdict: set by `judge`.
        evidence: float32 [frames, rows, cols] in 0…1 for the heatmap; set by `explain`.
        evidence_of: the class that the evidence speaks for, in words; None: for a finding. Set by `explain`.
        notes: what a stage had to assume, one sentence each; they go into the report.
    """

    scan: Scan
    task: str
    view: Float32s | None = None
    region: Bools | None = None
    prediction: Prediction | None = None
    mask: Labels | None = None
    scores: tuple[Score, ...] | None = None
    classes: tuple[Reading, ...] | None = None
    findings: tuple[Finding, ...] | None = None
    verdict: Verdict | None = None
    evidence: Float32s | None = None
    evidence_of: str | None = None
    notes: tuple[str, ...] = ()

    def derive(self, step: Step, **changes: Any) -> Case:  # noqa: ANN401 - fields of Case
        """The next case: `changes` applied, `step` on the scan's trail."""
        return replace(self, scan=self.scan.derive(step), **changes)


T = TypeVar("T")


def require(value: T | None, stage: str, need: str, maker: str) -> T:
    """`value`, or a StageError that names the stage which should have run before."""
    if value is None:
        raise StageError(f"stage '{stage}' has no {need}", hint=f"run '{maker}' before it")
    return value
