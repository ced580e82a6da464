"""Findings → verdict: positive, negative, or `refer` where the tool cannot tell."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from medvis.core.case import Case, require
from medvis.core.report import Finding, Verdict
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.quality import image_quality


class JudgeSettings(StageSettings):
    """When a verdict is left to a person.

    Attributes:
        spread: sd of a finding's probability over the views above which the views disagree.
        contrast: smallest contrast of the view (0…1) with which the model can see.
        fallback: refer if the search region had to be replaced by the whole image.
    """

    spread: float = Field(default=0.25, gt=0)
    contrast: float = Field(default=0.02, ge=0)
    fallback: bool = True


class Judge(BaseStage):
    """Fills `verdict`."""

    name: ClassVar[str] = "judge"
    Settings: ClassVar[type[StageSettings]] = JudgeSettings
    needs: ClassVar[tuple[str, ...]] = ("findings",)
    gives: ClassVar[tuple[str, ...]] = ("verdict",)

    def __call__(self, case: Case) -> Case:
        """The case with its verdict; the reasons say what it rests on."""
        findings = require(case.findings, self.name, "findings", "measure")
        doubts = self._doubts(case, findings)
        highest = max((finding.probability for finding in findings), default=None)
        name = self.context.task.taxonomy.finding
        if doubts:
            verdict = Verdict(decision="refer", probability=highest, reasons=doubts)
        elif findings:
            count = f"{len(findings)} finding{'s' if len(findings) > 1 else ''} ({name})"
            verdict = Verdict(
                decision="positive", probability=highest, reasons=[f"{count}, the likeliest {highest:.0%}"]
            )
        else:
            verdict = Verdict(decision="negative", reasons=[f"no {name} was found in what was searched"])
        return case.derive(self.step(), verdict=verdict)

    def _doubts(self, case: Case, findings: tuple[Finding, ...]) -> list[str]:
        settings: JudgeSettings = self.settings
        doubts = []
        if settings.fallback and fell_back(case):
            doubts.append("the search region was not found, so the whole image was searched")
        contrast = image_quality(case).contrast
        if contrast is not None and contrast < settings.contrast:
            doubts.append(f"contrast {contrast:.3f} is below {settings.contrast:g}: too little to see a lesion by")
        torn = [finding for finding in findings if finding.spread is not None and finding.spread > settings.spread]
        if torn and len(torn) == len(findings):
            doubts.append(f"the views disagree on every finding (spread above {settings.spread:g})")
        return doubts


def fell_back(case: Case) -> bool:
    """Whether `infer` had to search the whole image."""
    return any(step.settings.get("region_found") is False for step in case.scan.trail)
