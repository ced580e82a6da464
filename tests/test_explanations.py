"""What a stranger would wonder at on a heatmap is said on it: a class, a finding or evidence without the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from case_maker import make_outcome
from test_heatmap import said, words  # noqa: F401 - a fixture

from medvis.core.report import Reading, Verdict
from medvis.core.scan import Step
from medvis.io.picture.explanations import explanations, is_coloured
from medvis.io.picture.region import Region
from medvis.io.picture.slices import VISIBLE_FROM, Slices
from medvis.io.writers.heatmap import draw

MALIGNANT = (Reading(name="malignant", probability=0.85), Reading(name="normal", probability=0.15))
NORMAL = MALIGNANT[::-1]


def outcome_of(classes=(), decision="positive", evidence="as made", **options):
    """An outcome whose image has classes, and whose evidence is as made, absent, none, or a spot off every outline."""
    outcome = make_outcome(rows=128, cols=128, **options)
    case = outcome.case
    maps = {"as made": case.evidence, "none": np.zeros_like(case.evidence), "absent": None}
    maps["spot"] = np.zeros_like(case.evidence)
    maps["spot"][..., 4:9, 4:9] = 0.8
    case = replace(case, evidence=maps[evidence], evidence_of="malignant" if classes else None)
    report = outcome.report.model_copy(
        update={"classes": list(classes), "verdict": Verdict(decision=decision, reasons=["a reason"])}
    )
    return replace(outcome, case=case, report=report)


def sentences(outcome):
    return explanations(outcome.report, outcome.case, range(outcome.case.scan.frames))


def test_a_class_without_an_outline_says_so():
    assert sentences(outcome_of(MALIGNANT, findings=0, evidence="none"))[0] == "malignant 85%: nothing was outlined."


def test_an_outline_without_its_class_says_so():
    outcome = outcome_of(tuple(replace_probability(NORMAL)), "negative", findings=1)
    assert sentences(outcome)[0] == "normal 85%: yet 1 finding was outlined."
    outcome = outcome_of(tuple(replace_probability(NORMAL)), "refer", findings=2)
    assert sentences(outcome)[0] == "normal 85%: yet 2 findings were outlined."


def replace_probability(readings):
    """The first one is the likelier one."""
    return (one.model_copy(update={"probability": chance}) for one, chance in zip(readings, (0.85, 0.15), strict=True))


@pytest.mark.parametrize("findings", [0, 2])
def test_evidence_without_an_outline_is_explained(findings):
    (sentence,) = [one for one in sentences(outcome_of(findings=findings, evidence="spot")) if "Coloured" in one]
    assert sentence == "Coloured without an outline: no outline there was likely or large enough to be a finding."
    assert not any("Coloured" in one for one in sentences(outcome_of(findings=2, evidence="as made")))
    assert not any("Coloured" in one for one in sentences(outcome_of(findings=0, evidence="none")))


def test_a_finding_without_evidence_is_named():
    outcome = outcome_of(findings=3, evidence="as made")
    evidence = outcome.case.evidence.copy()
    evidence[outcome.case.mask == 2] = 0.1
    changed = replace(outcome, case=replace(outcome.case, evidence=evidence))
    (sentence,) = [one for one in sentences(changed) if "no colour" in one]  # what is left around it is another's
    assert sentence.startswith("Finding 2 has no colour: ")
    assert sentences(outcome) == []
    (sentence,) = sentences(outcome_of(findings=3, evidence="none"))
    assert sentence.startswith("Findings 1, 2, 3 have no colour: ")
    (sentence,) = sentences(outcome_of(findings=7, evidence="none"))
    assert sentence.startswith("7 findings have no colour: ")
    assert sentences(outcome_of(findings=3, evidence="absent")) == []


def test_a_task_that_outlines_nothing_says_where_its_colours_come_from():
    def classified(classes, decision, evidence):
        outcome = outcome_of(classes, decision, evidence, findings=0)
        return replace(outcome, case=replace(outcome.case, findings=None, mask=None))

    assert sentences(classified(MALIGNANT, "positive", "spot")) == []
    assert sentences(classified(MALIGNANT, "positive", "none")) == [
        "malignant 85%: no place stands out, so nothing is coloured."
    ]
    likelier = tuple(replace_probability(NORMAL))
    assert sentences(classified(likelier, "negative", "spot")) == [
        "Coloured: what speaks for malignant, although normal 85% is likelier."
    ]


def test_the_sentences_are_on_the_page(said):  # noqa: F811
    draw(outcome_of(MALIGNANT, findings=0, evidence="spot"))
    text = words(said).replace(" | ", " ")
    assert "malignant 85%: nothing was outlined." in text and "Coloured without an outline" in text


@pytest.mark.parametrize(
    ("findings", "evidence"), [(0, "none"), (0, "absent"), (2, "none"), (2, "absent"), (0, "spot")]
)
def test_there_is_a_legend_of_what_is_drawn_and_of_nothing_else(findings, evidence, said):  # noqa: F811
    draw(outcome_of(findings=findings, evidence=evidence))
    text = words(said).replace(" | ", " ")
    assert ("(model activation)" in text) == (evidence == "spot")
    assert ("outline of a finding" in text) == bool(findings)
    assert ("no evidence map was made" in text) == (evidence == "absent")
    assert ("no colours: the evidence" in text) == (evidence == "none")


def test_evidence_just_visible_has_its_legend():
    case = outcome_of(findings=0, evidence="none").case
    for level, coloured in ((VISIBLE_FROM, False), (VISIBLE_FROM + 0.01, True), (np.nan, False)):
        evidence = np.full_like(case.evidence, level)
        assert is_coloured(replace(case, evidence=evidence), [0]) == coloured


def searched(outcome, rows, cols):
    region = np.zeros(outcome.case.mask.shape, bool)
    region[0, rows, cols] = True
    return replace(outcome, case=replace(outcome.case, region=region))


def test_the_panels_show_what_was_searched_and_say_so(said):  # noqa: F811
    outcome = searched(make_outcome(rows=256, cols=256, findings=0, frames=2), slice(60, 160), slice(30, 190))
    assert Slices(outcome.case, outcome.display).shown == Region(50, 20, 170, 200)
    draw(outcome)
    text = words(said).replace(" | ", " ")
    assert "not enhanced, cropped" in text
    assert "cropped to what was searched: columns 21-200 of 256, rows 51-170 of 256" in text


def test_a_finding_is_inside_the_crop_and_its_outline_where_it_was():
    outcome = make_outcome(rows=256, cols=256, findings=3)
    outcome = searched(outcome, slice(60, 100), slice(60, 100))
    slices = Slices(outcome.case, outcome.display)
    for finding in outcome.report.findings:
        box = finding.box
        assert slices.shown.row0 <= box.row0 < box.row1 <= slices.shown.row1
        assert slices.shown.col0 <= box.col0 < box.col1 <= slices.shown.col1


def test_most_of_a_slice_is_shown_whole(said):  # noqa: F811
    outcome = searched(make_outcome(rows=256, cols=256, findings=1), slice(10, 250), slice(10, 250))
    assert Slices(outcome.case, outcome.display).shown == Region(0, 0, 256, 256)
    nothing = searched(make_outcome(rows=256, cols=256, findings=0), slice(0, 0), slice(0, 0))
    assert Slices(nothing.case, nothing.display).shown == Region(0, 0, 256, 256)
    draw(outcome)
    assert "cropped" not in words(said)


def test_panels_say_slice_window_enhancement_and_evidence(said):  # noqa: F811
    outcome = make_outcome(rows=128, cols=128, findings=1)
    draw(outcome)
    text = words(said).replace(" | ", " ")
    assert "Slice: evidence (coloured) and findings (outlined)" in text
    assert "Slice, lung window, not enhanced" in text
    assert "Close-up of finding 1, lung window, not enhanced" in text
    assert "CLAHE" not in text
    scan = outcome.case.scan.derive(Step("enhance", {"method": "clahe"}))
    draw(replace(outcome, case=replace(outcome.case, scan=scan)))
    assert "not shown: the model saw it with local contrast enhanced (CLAHE)" in words(said).replace(" | ", " ")


def test_a_clean_series_says_which_slice_it_shows(said):  # noqa: F811
    outcome = make_outcome(rows=64, cols=64, frames=9, findings=0)
    evidence = np.zeros_like(outcome.case.evidence)
    evidence[6, 3, 3] = 0.9
    draw(replace(outcome, case=replace(outcome.case, evidence=evidence)))
    assert "Slice 7 of 9: evidence (coloured)" in words(said)
