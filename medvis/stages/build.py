"""Case → report."""

from __future__ import annotations

import numpy as np

from medvis import __version__
from medvis.core.case import Case, require
from medvis.core.report import Provenance, Report, ScanFacts, Uncertainty
from medvis.core.scan import Scan
from medvis.stages.base import Context
from medvis.stages.quality import image_quality

NO_OUTLINE = "This task classifies the whole image; it outlines nothing, so that there are no findings."


def build_report(case: Case, context: Context, timings: dict[str, float]) -> Report:
    """The report of a case that has been through all stages. Raises StageError if it has not."""
    verdict = require(case.verdict, "report", "verdict", "judge")
    if case.classes is None or case.mask is not None:  # a task of classes alone measures nothing
        require(case.findings, "report", "findings", "measure")
    return Report(
        task=context.task.task,
        title=context.task.title,
        scan=_facts(case.scan),
        quality=image_quality(case),
        verdict=verdict,
        classes=list(case.classes or ()),
        findings=list(case.findings or ()),
        uncertainty=_uncertainty(case),
        notes=[*case.notes, NO_OUTLINE] if case.findings is None else list(case.notes),
        provenance=Provenance(
            medvis=__version__,
            task=context.task.task,
            config_sha256=context.task.sha256,
            model_name=f"{context.card.task} {context.card.version}",
            model_sha256=context.card.model.sha256,
            backend=context.task.backend,
            trail=[{"name": step.name, "settings": step.settings} for step in case.scan.trail],
            timings_s=timings,
        ),
    )


def _facts(scan: Scan) -> ScanFacts:
    rows, cols = scan.shape
    return ScanFacts(
        path=scan.source.path.encode("utf-8", "replace").decode(),  # a file's name may hold bytes that are no text
        format=scan.source.format,
        sha256=scan.source.sha256,
        modality=scan.modality,
        body_part=scan.body_part,
        unit=scan.unit,
        frames=scan.frames,
        rows=rows,
        cols=cols,
        channels=scan.channels,
        spacing_mm=scan.geometry.spacing,
        slice_spacing_mm=scan.geometry.slice_spacing,
        series_uid=scan.source.series_uid,
        sop_instance_uids=list(scan.source.sop_instance_uids),
        notes=list(scan.notes),
        unknown=scan.geometry.unknown(scan.frames),
    )


def _uncertainty(case: Case) -> Uncertainty:
    prediction = require(case.prediction, "report", "prediction", "infer")
    findings = case.findings or ()
    spreads = [finding.spread for finding in findings if finding.spread is not None]
    return Uncertainty(
        views=prediction.views,
        largest_finding_spread=max(spreads) if spreads else None,
        mean_mask_spread=_mask_spread(case),
        **_class_uncertainty(case),
    )


def _class_uncertainty(case: Case) -> dict[str, float | None]:
    """Of the likeliest class: the spread over the views, and how far it is ahead of the next one."""
    if not case.classes:
        return {}
    ahead = [reading.probability for reading in case.classes[:2]]
    return {
        "class_spread": case.scan.fact("classify", "spread"),
        "class_margin": round(ahead[0] - ahead[1], 4) if len(ahead) == 2 else None,
    }


def _mask_spread(case: Case) -> float | None:
    """Mean spread inside the findings; None if there is none."""
    if case.mask is None or case.prediction is None or not case.mask.any():
        return None
    inside = [spread[mask > 0] for spread, mask in zip(case.prediction.spread, case.mask, strict=True)]
    return round(float(np.concatenate(inside).mean()), 4)
