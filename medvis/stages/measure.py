"""Label mask → findings: size and position, densities, malignancy rating, descriptors, differential."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from medvis.core.arrays import Float64s
from medvis.core.case import Case, Prediction, Score, require
from medvis.core.report import Attribute, Box, Code, Finding, Intensity, Reading
from medvis.core.wording import slice_of
from medvis.ops.measure import Measurement, measure
from medvis.ops.partial_volume import with_edge_sizes
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.lesion_scores import joint_probability
from medvis.stages.refine import REFINE, REFINED
from medvis.stages.scoring import logistic, rating_values
from medvis.stages.slice_geometry import heights_or_apart, slice_geometry_of

NO_CANDIDATE = "the model did not take a closer look at this place"
NO_POSITION = "the image does not tell where it lies in the patient"
NO_LABEL = "the model does not rate this"
SURELY_NORMAL = "the model has no doubt that the image is normal"
ON_ONE_SLICE = (
    "On one slice only: finding {}. Densities there are mixed with those above and below, and depth and volume are the "
    "slice's."
)
OF_THE_IMAGE = "Malignancy and differential are those of the whole image, not of each outline."


_Score = Annotated[float, Field(ge=-1e6, le=1e6)]


class Rule(BaseModel):
    """One line of a differential.

    Attributes:
        name: what it says.
        when: name → true or false: its probability is the product of p (true) or 1 − p (false) over these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    when: dict[str, bool]
    code: Code | None = None


class MeasureSettings(StageSettings):
    """What is reported of a finding beside its size.

    Attributes:
        attributes: label → {score: word}; the word of the nearest score is used.
        malignancy: label that holds the malignancy rating; of a class, its probability given that the image is not
            normal.
        differential: rules over ``finding``, ``malignancy`` and the names of the image's classes; without any, the
            classes of the whole image, where there are some.
    """

    attributes: dict[str, dict[_Score, str]] = Field(default={})
    malignancy: str | None = None
    differential: list[Rule] = Field(default=[])


class Measure(BaseStage):
    """Fills `findings`."""

    name: ClassVar[str] = "measure"
    Settings: ClassVar[type[StageSettings]] = MeasureSettings
    needs: ClassVar[tuple[str, ...]] = ("mask", "scores", "prediction")
    gives: ClassVar[tuple[str, ...]] = ("findings",)

    def __call__(self, case: Case) -> Case:
        """The case with one finding for every number in its mask."""
        mask = require(case.mask, self.name, "mask", "segment")
        require(case.prediction, self.name, "prediction", "infer")
        geometry = case.scan.geometry
        grey = case.scan.pixels[..., 0] if case.scan.channels == 1 else case.scan.pixels.mean(-1)
        scores = require(case.scores, self.name, "scores", "segment")
        sizes = measure(mask, grey, geometry.spacing, self._depths(case))
        if case.scan.fact(REFINE, REFINED) and geometry.spacing is not None:
            slices = heights_or_apart(geometry, len(mask)), self._depths(case)
            sizes = tuple(with_edge_sizes(size, mask, grey, geometry.spacing, slices) for size in sizes)
        findings = tuple(
            self._finding(case, size, [score for score in scores if score.label == size.number]) for size in sizes
        )
        single = [str(one.id) for one in findings if one.first_frame == one.last_frame]
        notes = (
            [ON_ONE_SLICE.format(", ".join(single))]
            if single and case.scan.frames > 1 and self._depths(case) is not None
            else []
        )
        if findings and case.classes is not None:
            notes.append(OF_THE_IMAGE)
        return case.derive(self.step(), findings=findings, notes=(*case.notes, *notes))

    @staticmethod
    def _depths(case: Case) -> float | Float64s | None:
        """How much of the volume each frame stands for in mm: one number, or of uneven slices one each."""
        geometry = case.scan.geometry
        if geometry.slice_spacing is not None:
            return geometry.slice_spacing
        slices = slice_geometry_of(geometry, case.scan.frames)
        return None if slices is None else slices.depths

    def _finding(self, case: Case, size: Measurement, scores: list[Score]) -> Finding:
        prediction = require(case.prediction, self.name, "prediction", "infer")
        best = max(scores, key=lambda score: score.probability)
        probability = round(joint_probability(best.probability, prediction, self.context.card), 4)
        logits, spread = _pooled(prediction, scores)
        unknown = dict(size.reasons)
        malignancy = self._malignancy(case, logits, scores, unknown)
        _, row, col = size.centroid
        position = case.scan.geometry.centroid_to_patient(row, col, size.frame_pixels)
        if position is None:
            unknown["centroid_mm"] = case.scan.geometry.reasons.get("positions", NO_POSITION)
        taxonomy = self.context.task.taxonomy
        return Finding(
            id=size.number,
            name=taxonomy.finding,
            code=taxonomy.code,
            probability=probability,
            spread=round(best.spread, 4),
            slices=slice_of(size.key_frame, size.first_frame, size.last_frame, case.scan.frames),
            **_measured(size, case.scan.unit),
            centroid_mm=None if position is None else _millimetres(position),
            malignancy=malignancy,
            attributes=self._attributes(logits, spread),
            differential=self._differential(case, {"finding": probability, "malignancy": malignancy}),
            unknown=unknown,
        )

    def _malignancy(
        self, case: Case, logits: dict[str, float] | None, scores: list[Score], unknown: dict[str, str]
    ) -> float | None:
        name, card = self.settings.malignancy, self.context.card
        index = None if name is None else card.index(name)
        if name is None or index is None or logits is None:
            unknown["malignancy"] = NO_CANDIDATE if logits is None and index is not None else NO_LABEL
            return None
        if card.labels[index].kind == "class":
            distribution = None if case.prediction is None else case.prediction.distribution
            probability = None if distribution is None else distribution.among_abnormal(name)
            if probability is None:
                unknown["malignancy"] = SURELY_NORMAL
            return None if probability is None else round(probability, 4)
        weights = card.calibration.get("malignancy")
        spacing = case.scan.geometry.spacing
        if weights and spacing is not None:
            # As outlined by the model, since the weights were fitted on that.
            area = max(_area_per_frame(scores).values()) * spacing[0] * spacing[1]
            return round(logistic(weights, rating_values(logits, area)), 4)
        slope, shift = card.labels[index].platt
        return round(logistic({"bias": shift, "logit": slope}, {"logit": logits[name]}), 4)

    def _attributes(self, logits: dict[str, float] | None, spread: dict[str, float]) -> list[Attribute]:
        if logits is None:
            return []
        out = []
        for label in self.context.card.labels:
            words = self.settings.attributes.get(label.name)
            if not words:
                continue
            fraction = logistic({"bias": 0.0, "logit": 1.0}, {"logit": logits[label.name]})
            score = label.low + (label.high - label.low) * fraction
            word = words[min(words, key=lambda key: abs(key - score))]
            scale = f"{label.low:g}–{label.high:g}" if label.kind == "rating" else "probability"
            width = abs(label.high - label.low) * spread[label.name]
            out.append(
                Attribute(name=label.name, value=word, score=round(score, 2), scale=scale, spread=round(width, 3))
            )
        return out

    def _differential(self, case: Case, known: dict[str, float | None]) -> list[Reading]:
        classes = case.classes or ()
        if not self.settings.differential:
            return [
                reading.model_copy(update={"name": f"{reading.name} (of the whole image)"}) for reading in classes[:3]
            ]
        distribution = None if case.prediction is None else case.prediction.distribution
        if distribution is not None and distribution.exclusive:
            known = {**known, **distribution.by_name}
        out = []
        for rule in self.settings.differential:
            terms = [(known.get(name), wanted) for name, wanted in rule.when.items()]
            if any(probability is None for probability, _ in terms):
                continue
            product = float(np.prod([p if wanted else 1 - p for p, wanted in terms if p is not None]))
            out.append(Reading(name=rule.name, probability=round(product, 4), code=rule.code))
        return sorted(out, key=lambda reading: -reading.probability)[:3]


def _pooled(prediction: Prediction, scores: list[Score]) -> tuple[dict[str, float] | None, dict[str, float]]:
    """Class logits and spreads of a finding, averaged over its frames by area; None if no candidate matches.

    Of a whole image they are those of the image.
    """
    names = prediction.labels
    if prediction.logits is not None and prediction.logits_spread is not None:
        return _named(names, prediction.logits), _named(names, prediction.logits_spread)
    seen = [(score.candidate, score.area) for score in scores if score.candidate is not None]
    if not seen or prediction.candidates is None:
        return None, {}
    rows, weights = [row for row, _ in seen], np.array([area for _, area in seen], np.float64)
    logits = np.average(prediction.candidates.logits[rows], axis=0, weights=weights)
    spread = np.average(prediction.candidates.spread[rows], axis=0, weights=weights)
    return _named(names, logits), _named(names, spread)


def _area_per_frame(scores: list[Score]) -> dict[int, int]:
    """Frame → px of a finding there, as the model outlined it."""
    areas: dict[int, int] = {}
    for score in scores:
        areas[score.frame] = areas.get(score.frame, 0) + score.area
    return areas


def _named(names: tuple[str, ...], values: NDArray[np.floating]) -> dict[str, float]:
    return dict(zip(names, map(float, values), strict=True))


def _measured(size: Measurement, unit: str) -> dict[str, object]:
    """The fields of a finding that are measured, rounded to what the pixels can tell."""
    row0, col0, row1, col1 = size.box
    stats = size.intensity
    return {
        "key_frame": size.key_frame,
        "first_frame": size.first_frame,
        "last_frame": size.last_frame,
        "box": Box(frame=size.key_frame, row0=row0, col0=col0, row1=row1, col1=col1),
        "centroid": tuple(round(value, 2) for value in size.centroid),
        "contour": [(round(row, 2), round(col, 2)) for row, col in size.contour],
        "area_px": size.area_px,
        "longest_diameter_px": round(size.longest_diameter_px, 2),
        "perpendicular_diameter_px": round(size.perpendicular_diameter_px, 2),
        "area_mm2": _rounded(size.area_mm2),
        "longest_diameter_mm": _rounded(size.longest_diameter_mm),
        "perpendicular_diameter_mm": _rounded(size.perpendicular_diameter_mm),
        "longest_diameter_range_mm": _range(size.longest_range_mm),
        "volume_mm3": _rounded(size.volume_mm3),
        "volume_range_mm3": _range(size.volume_range_mm3),
        "intensity": Intensity(unit=unit, **{name: round(value, 1) for name, value in asdict(stats).items()}),
    }


def _millimetres(position: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = position
    return round(x, 2), round(y, 2), round(z, 2)


def _range(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if ends is None else (round(ends[0], 2), round(ends[1], 2))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
