"""What is coloured and what is outlined; in a plain sentence each, why one is there without the other."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from medvis.core.case import Case
from medvis.core.report import Finding, Report
from medvis.core.wording import percent
from medvis.io.picture.slices import VISIBLE_FROM

_NAMED = 6  # findings that a sentence lists; more are counted


def is_coloured(case: Case, frames: Iterable[int]) -> bool:
    """Whether any of these frames has evidence that is strong enough to be seen."""
    return case.evidence is not None and any(bool((case.evidence[frame] > VISIBLE_FROM).any()) for frame in frames)


def explanations(report: Report, case: Case, frames: Iterable[int]) -> list[str]:
    """Sentences on what a reader would miss or wonder at: a class, evidence or finding without its counterpart.

    Args:
        report: its classes and findings.
        case: its evidence and mask.
        frames: those that are drawn with the evidence.
    """
    frames = list(frames)
    outlines = case.findings is not None or bool(report.findings)  # else the task outlines nothing
    sentences = _on_classes(report, case, is_coloured(case, frames), outlines) if report.classes else []
    if outlines and any(_is_coloured_outside(case, frame) for frame in frames):
        sentences.append("Coloured without an outline: no outline there was likely or large enough to be a finding.")
    return sentences + _on_findings(report.findings, case)


def _on_classes(report: Report, case: Case, coloured: bool, outlines: bool) -> list[str]:
    likeliest, count = report.classes[0], len(report.findings)
    said = f"{likeliest.name} {percent(likeliest.probability)}"
    of = case.evidence_of or "a finding"
    if outlines and _is_abnormal(report, case) and not count:
        return [f"{said}: nothing was outlined."]
    if _is_abnormal(report, case):
        unseen = case.evidence is not None and not coloured
        return [f"{said}: no place stands out, so nothing is coloured."] if unseen else []
    if count:
        return [f"{said}: yet {count} finding{' was' if count == 1 else 's were'} outlined."]
    return [f"Coloured: what speaks for {of}, although {said} is likelier."] if coloured else []


def _is_abnormal(report: Report, case: Case) -> bool:
    """Whether the likeliest class is one to be found."""
    distribution = None if case.prediction is None else case.prediction.distribution
    if distribution is not None:
        return not distribution.ranked[0].label.normal
    return report.verdict.decision == "positive" or report.classes[0].name == case.evidence_of


def _is_coloured_outside(case: Case, frame: int) -> bool:
    """Whether a coloured place of the frame touches no outline."""
    if case.evidence is None:
        return False
    count, places = cv2.connectedComponents((case.evidence[frame] > VISIBLE_FROM).astype(np.uint8), connectivity=8)
    outlined = 0 if case.mask is None else np.count_nonzero(np.unique(places[case.mask[frame] > 0]))
    return bool(count - 1 > outlined)


def _on_findings(findings: Iterable[Finding], case: Case) -> list[str]:
    if case.evidence is None or case.mask is None:
        return []
    plain = [str(finding.id) for finding in findings if not _is_coloured_inside(case, finding)]
    if not plain:
        return []
    if len(plain) > _NAMED:
        which = f"{len(plain)} findings have"
    else:
        which = f"Finding {plain[0]} has" if len(plain) == 1 else f"Findings {', '.join(plain)} have"
    return [f"{which} no colour: outline and evidence come from two outputs of the model, which differ there."]


def _is_coloured_inside(case: Case, finding: Finding) -> bool:
    assert case.evidence is not None and case.mask is not None
    return any(
        bool((case.evidence[frame][case.mask[frame] == finding.id] > VISIBLE_FROM).any())
        for frame in range(finding.first_frame, finding.last_frame + 1)
    )
