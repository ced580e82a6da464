"""Which precision ships: INT8 where it keeps parity, then fp16 weights, then fp32; and a record of what was tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from medvis.core.arrays import Float32s
from medvis.core.logits import sigmoid
from medvis.learn.bundling.certificate import changed, objections, quality, see, size, speed
from medvis.learn.bundling.graph_optimise import halve, slim
from medvis.learn.bundling.quantise import METHODS, Quantiser
from medvis.learn.bundling.validation_views import ValidationViews, batches
from medvis.model.session import cpu_session

Precision = Literal["int8", "fp16", "fp32"]
# A tenth of the views sets the ranges, of few views up to three tenths: fewer than `LEAST` miss what rare views reach,
# more than `MOST` add nothing.
FRACTION, FRACTION_OF_FEW, LEAST, MOST = 0.1, 0.3, 32, 64
# Views on which the blocks are compared, and how many of the blocks may stay in fp32.
PROBE = 8
KEPT = (1, 2, 4, 8)


@dataclass(frozen=True)
class GraphCandidate:
    """One graph that might ship, and how it was made."""

    precision: Precision
    made: str
    graph: bytes


@dataclass
class Choice:
    """Tries candidates against the fp32 graph on views that none of them has seen.

    Attributes:
        fp32: the graph, slim.
        views: that measure.
        tried: a record a candidate, in order.
    """

    fp32: bytes
    views: ValidationViews
    tried: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.full = see(self.fp32, self.views)
        self.quality = quality(self.full, self.views)

    def passes(self, candidate: GraphCandidate) -> bool:
        """Whether the candidate is good enough; writes down what it was like."""
        predictions = see(candidate.graph, self.views)
        figures, fraction = quality(predictions, self.views), changed(self.full, predictions)
        reasons = objections(self.quality, figures, fraction)
        self.tried.append(
            {
                "precision": candidate.precision,
                "made": candidate.made,
                **_rounded(figures),
                "decisions_changed": round(fraction, 4),
                "bytes": len(candidate.graph),
                "objections": reasons,
            }
        )
        return not reasons


def choose(graph: bytes, views: ValidationViews, seed: int) -> tuple[GraphCandidate, dict[str, Any]]:
    """The smallest graph that says the same as fp32, and the certificate of that.

    Args:
        graph: the fp32 ONNX file, as `export_onnx` writes it.
        views: of val; one part sets the ranges, the other, of other groups, measures.
        seed: of the parts.
    """
    import onnx  # noqa: PLC0415 - an extra

    fraction = max(FRACTION, min(LEAST / len(views), FRACTION_OF_FEW))
    ranges, rest = views.halves(fraction, MOST, seed)
    choice = Choice(slim(onnx.load_from_string(graph)), rest)
    fp32 = GraphCandidate("fp32", "as trained", choice.fp32)
    chosen = next(filter(choice.passes, smaller_candidates(graph, choice.fp32, ranges)), fp32)
    certificate = {
        "val": {"measured": len(rest), "set_ranges": len(ranges), "groups": "none in both parts"},
        "fp32": _rounded(choice.quality),
        "tried": choice.tried,
        "ships": chosen.precision,
        "why": _why(chosen, choice.tried),
        "size": size(choice.fp32, chosen.graph),
        "speed": speed(choice.fp32, chosen.graph, rest.views),
    }
    return chosen, certificate


def as_trained(graph: bytes) -> tuple[GraphCandidate, dict[str, Any]]:
    """The fp32 graph without a search for a smaller one."""
    import onnx  # noqa: PLC0415 - an extra

    chosen = GraphCandidate("fp32", "as trained", slim(onnx.load_from_string(graph)))
    return chosen, {"ships": "fp32", "why": "nothing smaller was asked for", "tried": []}


def smaller_candidates(graph: bytes, fp32: bytes, ranges: ValidationViews) -> Iterator[GraphCandidate]:
    """From small to large; each is made only if none before it was good enough."""
    import onnx  # noqa: PLC0415 - an extra

    quantiser = Quantiser(graph, list(batches(ranges.views, 4)))
    for method in METHODS:
        yield GraphCandidate("int8", f"ranges by {method}", quantiser.int8(method))
    worst = sensitive(quantiser, fp32, ranges.views[:PROBE])
    for count in KEPT:
        kept = worst[:count]
        yield GraphCandidate("int8", f"ranges by MinMax; in fp32: {', '.join(kept)}", quantiser.int8("MinMax", kept))
    yield GraphCandidate("fp16", "weights stored as fp16, computed with in fp32", halve(onnx.load_from_string(graph)))


def sensitive(quantiser: Quantiser, fp32: bytes, views: Float32s) -> list[str]:
    """Blocks of the network, the one first whose stay in fp32 brings the INT8 graph nearest to the fp32 graph."""
    wanted = _outputs(fp32, views)
    gaps = {name: _gap(wanted, _outputs(quantiser.int8("MinMax", [name]), views)) for name in quantiser.blocks}
    return sorted(gaps, key=lambda name: gaps[name])


def _outputs(graph: bytes, views: Float32s) -> list[Float32s]:
    session = cpu_session(graph)
    parts = [session.run(["class_logits", "mask_logits"], {"image": batch}) for batch in batches(views, 4)]
    return [np.concatenate([part[index] for part in parts]) for index in (0, 1)]


def _gap(wanted: list[Float32s], given: list[Float32s]) -> float:
    """Root mean square of the differences of probabilities: what is far from a decision may differ."""
    gaps = [
        np.sqrt(np.mean((sigmoid(logits) - sigmoid(others)) ** 2))
        for logits, others in zip(wanted, given, strict=True)
        if logits.size
    ]
    return float(sum(gaps))


def _why(chosen: GraphCandidate, tried: list[dict[str, Any]]) -> str:
    failed = [
        f"{record['precision']} ({record['made']}): {'; '.join(record['objections'])}"
        for record in tried
        if record["objections"]
    ]
    kept = (
        "keeps Dice, AUC and decisions"
        if chosen.precision != "fp32"
        else "nothing smaller keeps Dice, AUC and decisions"
    )
    return f"{chosen.precision} ({chosen.made}) {kept}" + "".join(f". Not {reason}" for reason in failed)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
