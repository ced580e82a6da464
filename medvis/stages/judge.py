"""Findings and classes → verdict: positive, negative, or `refer` where the tool cannot tell."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from medvis.core.case import Case, require
from medvis.core.report import Finding, Verdict
from medvis.core.wording import percent
from medvis.preprocess.window import GIVE_WINDOW
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.class_verdict import ClassVerdict, class_verdict
from medvis.stages.input_contract import IGNORED, INFER, reason
from medvis.stages.quality import image_quality
from medvis.stages.window import ESTIMATED, WINDOW

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
            verdict = Verdict(decision="refer", probability=verdict.probability, reasons=doubts)
        return case.derive(self.step(), verdict=verdict)

    def _by_findings(self, case: Case, findings: tuple[Finding, ...]) -> Verdict:
        if not findings:
            reason = f"no {self.context.task.taxonomy.finding} was found in what was searched"
            nearest = case.scan.fact("segment", "left_out")
            if nearest is not None:
                reason += f"; the likeliest place was left out with {percent(nearest)}"
            return Verdict(decision="negative", reasons=[reason])
        highest = max(finding.probability for finding in findings)
        reason = f"{self._count(findings)}, the likeliest {percent(highest)}"
        least = case.scan.fact("segment", "finding")
        if highest < 0.5 and least is not None:
            reason += f" (findings from {percent(least)})"
        return Verdict(decision="positive", probability=highest, reasons=[reason])

    def _by_class(self, by_class: ClassVerdict, findings: tuple[Finding, ...]) -> Verdict:
        reasons = [by_class.reason, self._count(findings)] if findings else [by_class.reason]
        return Verdict(decision=by_class.decision, probability=by_class.probability, reasons=reasons)

    def _count(self, findings: tuple[Finding, ...]) -> str:
        return f"{len(findings)} finding{'s' if len(findings) > 1 else ''} ({self.context.task.taxonomy.finding})"

    def _doubts(self, case: Case, findings: tuple[Finding, ...]) -> list[str]:
        settings: JudgeSettings = self.settings
        ignored = case.scan.fact(INFER, IGNORED)
        doubts = [reason(ignored)] if ignored else []
        estimated = case.scan.fact(WINDOW, ESTIMATED)
        if estimated:
            doubts.append(NO_SCALE.format(estimated))
        if settings.fallback and case.scan.fact(INFER, "region_found") is False:
            doubts.append("the search region was not found, so more than that was searched")
        if case.region is not None and not any(frame.any() for frame in case.region):
            doubts.append("cannot see: the search region is empty, so nothing was searched")
        contrast = image_quality(case).contrast
        if contrast is not None and contrast < settings.contrast:
            doubts.append(f"contrast {contrast:.3f} is below {settings.contrast:g}: too little to see a lesion by")
        torn = [finding for finding in findings if finding.spread is not None and finding.spread > settings.spread]
        if torn and len(torn) == len(findings):
            doubts.append(f"the views disagree on every finding (spread above {settings.spread:g})")
        return doubts

    def _doubts_on_class(self, case: Case, by_class: ClassVerdict) -> list[str]:
        settings: JudgeSettings = self.settings
        doubts = []
        if by_class.spread is not None and by_class.spread > settings.spread:
            doubts.append(f"the views disagree on the class (spread {by_class.spread:.2f}, above {settings.spread:g})")
        if by_class.rivals is not None and by_class.margin < settings.margin:
            doubts.append(f"{by_class.rivals} are too close to tell apart")
        if by_class.contradicted:
            doubts.append(f"likelier than not, yet under the threshold: {by_class.reason}")
        if case.findings and by_class.decision == "negative":
            doubts.append(f"the class of the image says {by_class.reason}, yet outlined: {self._count(case.findings)}")
        if case.findings == () and by_class.decision == "positive":
            name = self.context.task.taxonomy.finding
            doubts.append(f"the class of the image says {by_class.reason}, but no {name} could be outlined")
        return doubts
