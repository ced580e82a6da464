"""heatmap.png as a whole: every kind of case is drawn, says what it must, and no text hides another."""

import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from case_maker import REASON, make_outcome

from medvis.core.geometry import Geometry
from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.report import NOTICE
from medvis.io.picture.canvas import Canvas, Rect
from medvis.io.picture.text import fitted, ink
from medvis.io.writers.heatmap import HeatmapWriter, draw

KINDS = {
    "clean": {"rows": 200, "cols": 200, "findings": 0},
    "three": {"rows": 256, "cols": 256, "findings": 3},
    "seven, inverted, padded": {"rows": 256, "cols": 256, "findings": 7, "inverted": True, "padding": True},
    "series of 16": {"frames": 16, "rows": 96, "cols": 96, "findings": 2},
    "series of 40": {"frames": 40, "rows": 64, "cols": 64, "findings": 7},
    "series of one finding": {"frames": 3, "rows": 64, "cols": 80, "findings": 1, "spacing": None},
    "clean series": {"frames": 9, "rows": 64, "cols": 64, "findings": 0},
    "tiny": {"rows": 64, "cols": 64, "findings": 1},
    "one pixel": {"rows": 1, "cols": 1, "findings": 0},
    "colour, no spacing, long name": {
        "rows": 230,
        "cols": 565,
        "channels": 3,
        "findings": 3,
        "spacing": None,
        "path": "/a/" + "long name " * 40 + ".png",
    },
    "large": {"rows": 2048, "cols": 1500, "findings": 2},
    "tall": {"rows": 400, "cols": 60, "findings": 2},
    "flat": {"rows": 20, "cols": 900, "findings": 0},
    "uneven spacing": {"rows": 60, "cols": 60, "findings": 2, "spacing": (2.0, 0.5)},
    "foreign name": {"path": "Schädel-Gefäß 头部.dcm"},
    "long foreign name": {"path": "头部Голова" * 15 + ".dcm"},
    "a row of pixels": {"rows": 1, "cols": 1000, "findings": 0, "spacing": (1.0, 1.0)},
    "a column of pixels": {"rows": 1000, "cols": 1, "findings": 0},
    "eight pixels": {"rows": 8, "cols": 8, "findings": 1},
    "4000 pixels": {"rows": 4000, "cols": 3000, "findings": 2},
    "one slice": {"frames": 1, "rows": 64, "cols": 64, "findings": 1},
    "series of 300": {"frames": 300, "rows": 32, "cols": 32, "findings": 7},
    "colour series": {"frames": 3, "rows": 60, "cols": 90, "channels": 3, "findings": 2},
    "fifty findings": {"rows": 512, "cols": 512, "findings": 7, "copies": 50},
    "fifty findings of a series": {"frames": 30, "rows": 128, "cols": 128, "findings": 7, "copies": 50},
}


def outcome_of(copies=0, **options):
    """`copies`: so many findings on a grid, each with an outline of its own, named at length."""
    outcome = make_outcome(**options)
    if not copies:
        return outcome
    case, first = outcome.case, outcome.case.findings[0]
    mask, findings = np.zeros_like(case.mask), []
    frames, rows, cols = mask.shape
    for index in range(copies):
        frame, row, col = index * frames // copies, (index // 8 + 1) * rows // 9, (index % 8 + 1) * cols // 9
        ring = [(row + 3.0, col + 3.0), (row + 3.0, col - 3.0), (row - 3.0, col - 3.0), (row - 3.0, col + 3.0)]
        mask[frame, row - 3 : row + 4, col - 3 : col + 4] = index + 1
        box = first.box.model_copy(
            update={"frame": frame, "row0": row - 3, "row1": row + 4, "col0": col - 3, "col1": col + 4}
        )
        where = {"key_frame": frame, "first_frame": frame, "last_frame": frame, "box": box, "contour": ring}
        name = "nodule of a long name, as no task has it" * (index % 2) or "nodule"
        findings.append(first.model_copy(update={"id": index + 1, "name": name, **where}))
    report = outcome.report.model_copy(update={"findings": findings})
    return replace(outcome, case=replace(case, mask=mask, findings=tuple(findings)), report=report)


@pytest.fixture
def said(monkeypatch):
    """Every text that is drawn: its canvas, its words, its place."""
    found = []
    original = Canvas.text

    def text(self, x, base, words, style, width=None):
        advance = original(self, x, base, words, style, width)
        start = x - {"left": 0, "right": advance, "centre": advance // 2}[style.align]
        coverage, right, down = ink(words if width is None else fitted(words, style.size, width), style.size)
        found.append((id(self), words, Rect(start + right, base + down, *coverage.shape[::-1]), style))
        return advance

    monkeypatch.setattr(Canvas, "text", text)
    return found


def words(said):
    return " | ".join(item[1] for item in said)


def unwrapped(said):
    """All words in one line, whatever the lines they are drawn in."""
    return " ".join(item[1] for item in said)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_every_kind_is_drawn_and_no_text_hides_another(options, said):
    outcome = outcome_of(**options)
    keep = []
    init = Canvas.__init__
    Canvas.__init__ = lambda self, *a, **k: (keep.append(self), init(self, *a, **k))[1]
    try:
        page = draw(outcome)
    finally:
        Canvas.__init__ = init
    wide, high = page.size
    assert wide == 1292
    assert 500 < high < 3000
    assert NOTICE in words(said)
    sizes = {id(canvas): canvas.size for canvas in keep}
    for canvas, text, place, _ in said:
        assert Rect(0, 0, *sizes[canvas]).holds(place), text
    for one, other in combinations(said, 2):
        if one[0] == other[0] and one[1] != other[1]:
            assert not one[2].overlaps(other[2]), (one[1], other[1])
    for _, text, _, style in said:
        assert ink("H", style.size)[0].shape[0] * 780 / wide >= 9, f"not legible where the page is 780 px wide: {text}"


def test_the_file_is_a_png_and_the_same_every_time(tmp_path):
    writer = HeatmapWriter()
    assert isinstance(writer, Writer)
    assert writer.files(1) == writer.files(30) == ("heatmap.png",)
    outcome = make_outcome(rows=100, cols=100)
    assert writer.write(outcome, tmp_path) == [tmp_path / "heatmap.png"]
    first = (tmp_path / "heatmap.png").read_bytes()
    writer.write(make_outcome(rows=100, cols=100), tmp_path)
    assert (tmp_path / "heatmap.png").read_bytes() == first
    seen = cv2.imread(str(tmp_path / "heatmap.png"))[..., ::-1]
    np.testing.assert_array_equal(seen, draw(outcome).pixels)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_input_is_only_read(frames):
    outcome = make_outcome(frames=frames, rows=50, cols=50, padding=True)
    case = outcome.case
    arrays = [case.scan.pixels, case.scan.valid, case.mask, case.evidence, case.view]
    copies = [array.copy() for array in arrays]
    draw(outcome)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_what_is_known_is_said(said):
    draw(make_outcome(findings=2, path="/data/patient/scan-7.dcm"))
    text = words(said)
    assert "Lung nodules on CT" in text
    assert "scan-7.dcm" in text
    assert "/data" not in text
    assert "window lung: center -600, width 1500 HU" in text
    assert "Positive" in text
    assert "Findings (2)".upper() in text
    assert "probability 0.97, sd over the views 0.02" in text
    assert "diameter 8.2 x 7.0 mm" in text
    assert text.count("would be rated malignant: 0.81") == 1
    assert "not as proven by pathology" in text.replace(" | ", " ")
    assert "No lung was found on 2 frames" in text
    assert "evidence for a finding" in text


def test_what_is_unknown_is_said(said):
    outcome = make_outcome(findings=1, spacing=None)
    verdict = outcome.report.verdict.model_copy(update={"decision": "refer", "probability": None})
    draw(replace(outcome, report=outcome.report.model_copy(update={"verdict": verdict})))
    text = words(said)
    finding = outcome.report.findings[0]
    assert f"diameter {finding.longest_diameter_px:.0f} x {finding.perpendicular_diameter_px:.0f} px" in text
    assert REASON in text
    assert "spacing unknown" in text and "px (" not in text, "no scale bar"
    assert "probability unknown" in text
    assert "Refer" in text
    assert " mm" not in text.replace("mm2", "")


def test_no_finding_is_said(said):
    draw(make_outcome(findings=0))
    text = words(said)
    assert "no finding" in text
    assert "nothing is coloured or outlined" in text and "outline of a finding" not in text
    assert "malignant" not in text


@pytest.mark.parametrize(("bits", "range_said"), [(8, False), (16, True)])
def test_a_picture_is_shown_as_it_is_and_of_a_deeper_one_the_range_is_said(said, bits, range_said):
    outcome = make_outcome(channels=3, rows=64, cols=64, findings=0)
    case = replace(outcome.case, scan=replace(outcome.case.scan, bits=bits))
    draw(replace(outcome, case=case))
    low, high = case.scan.pixels.min(), case.scan.pixels.max()
    assert (f"window full range: {low:g} to {high:g}" in words(said)) == range_said
    assert ("window" in words(said)) == range_said


def test_a_series_shows_each_key_slice_and_the_overview(said):
    outcome = make_outcome(frames=16, rows=64, cols=64, findings=2)
    one, other = outcome.report.findings
    other = other.model_copy(update={"first_frame": other.key_frame, "last_frame": other.key_frame})
    outcome = replace(outcome, report=outcome.report.model_copy(update={"findings": [one, other]}))
    draw(outcome)
    text = words(said)
    assert one.first_frame < one.last_frame
    for finding in outcome.report.findings:
        first, last = finding.first_frame + 1, finding.last_frame + 1
        span = "on this slice only" if first == last else f"seen on {first} to {last}"
        assert f"Finding {finding.id}: slice {finding.key_frame + 1} of 16, {span}" in text
    assert "Overview, all 16 slices; framed: with a finding, its number above" in text
    assert "volume" in text


def test_findings_that_do_not_fit_are_counted(said):
    outcome = make_outcome(rows=256, cols=256, findings=7)
    findings = outcome.report.findings
    many = [item.model_copy(update={"id": 7 + index}) for index, item in enumerate(findings)]
    draw(replace(outcome, report=outcome.report.model_copy(update={"findings": [*findings, *many]})))
    assert "and 8 more in report.json" in words(said)


def test_it_works_without_evidence_mask_orientation_or_display(said):
    outcome = make_outcome(frames=3, rows=64, cols=64)
    geometry = Geometry(outcome.case.scan.geometry.spacing)
    scan = replace(outcome.case.scan, geometry=geometry, windows=())
    case = replace(outcome.case, evidence=None, mask=None, scan=scan)
    draw(Outcome(case, outcome.report))
    text = words(said)
    assert "no evidence map was made" in text
    assert "full range" in text
    assert "| R |" not in text


def test_a_picture_costs_its_imports_only_when_it_is_drawn():
    code = "import sys, medvis.io.writers.heatmap\n"
    code += "print([m for m in ('PIL', 'scipy', 'skimage', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_notice_is_on_the_picture_of_every_task():
    page = draw(make_outcome(findings=0)).pixels
    foot = page[-70:, : page.shape[1] // 2].max(axis=2)
    assert (foot > 200).sum() > 500


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        HeatmapWriter().write(make_outcome(rows=16, cols=16), Path(tmp_path) / "absent")
