"""Findings and classes → verdict: positive, negative, or `refer` where the tool cannot tell."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from medvis.core.case import Case, require
from medvis.core.report import Finding, ReasonCode, Verdict
from medvis.core.wording import percent
from medvis.preprocess.window import GIVE_WINDOW
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.class_verdict import ClassVerdict, class_verdict
from medvis.stages.input_contract import IGNORED, INFER, reason
from medvis.stages.quality import image_quality
from medvis.stages.window import ESTIMATED, WINDOW

Doubt = tuple[ReasonCode, str]

NO_REGION = "the search region was not found, so more than that was searched"
NOTHING_SEARCHED = "cannot see: the search region is empty, so nothing was searched"
NOTHING_LEFT_OUT = "no place was outlined at all, so that none has a probability"
NO_SCALE = (
    f"the file does not say what its grey values are in {{}}, so that the model was shown an estimate; {GIVE_WINDOW}"
)


class JudgeSettings(StageSettings):
    """When a verdict is left to a person.

    Attributes:
        spread: sd of a probability over the views above which the views disagree, on the findings or on the class.
        margin: distance of the two likeliest classes' probabilities under which they are too close; 0: never.
        contrast: smallest contrast of the view (0…1) with which the model can see.
        fallback: refer if the search region had to be replaced by the whole body or image.
    """

    spread: float = Field(default=0.25, gt=0, le=1)
    margin: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.02, ge=0, le=1)
    fallback: bool = True


class Judge(BaseStage):
    """Fills `verdict` from the findings, from the classes of the whole image, or from both."""

    name: ClassVar[str] = "judge"
    Settings: ClassVar[type[StageSettings]] = JudgeSettings
    needs: ClassVar[tuple[str, ...]] = ("findings|classes",)
    gives: ClassVar[tuple[str, ...]] = ("verdict",)

    def __call__(self, case: Case) -> Case:
        """The case with its verdict; the reasons say what it rests on."""
        by_class = class_verdict(case, self.context.card) if case.classes is not None else None
        if by_class is None or case.mask is not None:  # only where nothing is outlined is there nothing to measure
            require(case.findings, self.name, "findings", "measure")
        findings = case.findings or ()
        verdict = self._by_findings(case, findings) if by_class is None else self._by_class(by_class, findings)
        doubts = self._doubts(case, findings)
        if by_class is not None:
            doubts += self._doubts_on_class(case, by_class)
        if doubts:
            changes = {"reasons": [text for _, text in doubts], "codes": [code for code, _ in doubts]}
            verdict = verdict.model_copy(update={"decision": "refer", **changes})
        return case.derive(self.step(), verdict=verdict)

    def _by_findings(self, case: Case, findings: tuple[Finding, ...]) -> Verdict:
        if not findings:
            reason = f"no {self.context.task.taxonomy.finding} was found in what was searched"
            nearest = case.scan.fact("segment", "left_out")
            if nearest is not None:
                reason += f"; the likeliest place was left out with {percent(nearest)}"
            unknown = {"probability": NOTHING_LEFT_OUT} if nearest is None else {}
            return Verdict(
                decision="negative", probability=nearest, reasons=[reason], codes=["no-findings"], unknown=unknown
            )
        highest = max(finding.probability for finding in findings)
        reason = f"{self._count(findings)}, the likeliest {percent(highest)}"
        least = case.scan.fact("segment", "finding")
        if highest < 0.5 and least is not None:
            reason += f" (findings from {percent(least)})"
        return Verdict(decision="positive", probability=highest, reasons=[reason], codes=["findings"])

    def _by_class(self, by_class: ClassVerdict, findings: tuple[Finding, ...]) -> Verdict:
        reasons = [by_class.reason, self._count(findings)] if findings else [by_class.reason]
        codes: list[ReasonCode] = ["class", "findings"] if findings else ["class"]
        return Verdict(decision=by_class.decision, probability=by_class.probability, reasons=reasons, codes=codes)

    def _count(self, findings: tuple[Finding, ...]) -> str:
        return f"{len(findings)} finding{'s' if len(findings) > 1 else ''} ({self.context.task.taxonomy.finding})"

    def _doubts(self, case: Case, findings: tuple[Finding, ...]) -> list[Doubt]:
        settings: JudgeSettings = self.settings
        ignored = case.scan.fact(INFER, IGNORED)
        doubts: list[Doubt] = [("input-not-as-learned", reason(ignored))] if ignored else []
        estimated = case.scan.fact(WINDOW, ESTIMATED)
        if estimated:
            doubts.append(("grey-values-estimated", NO_SCALE.format(estimated)))
        if settings.fallback and case.scan.fact(INFER, "region_found") is False:
            doubts.append(("search-region-not-found", NO_REGION))
        if case.region is not None and not any(frame.any() for frame in case.region):
            doubts.append(("nothing-searched", NOTHING_SEARCHED))
        contrast = image_quality(case).contrast
        if contrast is not None and contrast < settings.contrast:
            text = f"contrast {contrast:.3f} is below {settings.contrast:g}: too little to see a lesion by"
            doubts.append(("contrast-too-low", text))
        torn = [finding for finding in findings if finding.spread is not None and finding.spread > settings.spread]
        if torn and len(torn) == len(findings):
            text = f"the views disagree on every finding (spread above {settings.spread:g})"
            doubts.append(("views-disagree-on-findings", text))
        return doubts

    def _doubts_on_class(self, case: Case, by_class: ClassVerdict) -> list[Doubt]:
        settings: JudgeSettings = self.settings
        doubts: list[Doubt] = []
        if by_class.spread is not None and by_class.spread > settings.spread:
            text = f"the views disagree on the class (spread {by_class.spread:.2f}, above {settings.spread:g})"
            doubts.append(("views-disagree-on-class", text))
        if by_class.rivals is not None and by_class.margin < settings.margin:
            doubts.append(("classes-too-close", f"{by_class.rivals} are too close to tell apart"))
        if by_class.contradicted:
            text = f"likelier than not, yet under the threshold: {by_class.reason}"
            doubts.append(("likely-but-under-threshold", text))
        if case.findings and by_class.decision == "negative":
            text = f"the class of the image says {by_class.reason}, yet outlined: {self._count(case.findings)}"
            doubts.append(("class-negative-with-findings", text))
        if case.findings == () and by_class.decision == "positive":
            name = self.context.task.taxonomy.finding
            text = f"the class of the image says {by_class.reason}, but no {name} could be outlined"
            doubts.append(("class-positive-without-findings", text))
        return doubts
