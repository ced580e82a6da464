"""The public API: what `medvis` exports, what that costs, and how results show themselves in a notebook."""

from __future__ import annotations

import base64
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from case_maker import make_outcome

import medvis
from medvis.core.report import Report


def test_importing_medvis_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import medvis; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(ran.stdout.split()) <= {"medvis", "__future__"}


ROOT = re.sub(r"/medvis/__init__\.py$", "", medvis.__file__.replace("\\", "/"))


def test_all_that_is_promised_is_there():
    assert {name for name in medvis.__all__ if getattr(medvis, name) is None} == set()
    assert medvis.Report is Report
    assert {"Outcome", "Pipeline", "Scan", "diagnose", "errors", "load"} <= set(medvis.__all__) <= set(dir(medvis))
    kinds = [error for error in vars(medvis.errors).values() if isinstance(error, type)]
    assert {kind.__name__ for kind in kinds} <= set(medvis.__all__)
    assert all(getattr(medvis, kind.__name__) is kind for kind in kinds)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = medvis.nonsense


@pytest.mark.parametrize("name", ["diagnose", "load", "Pipeline"])
def test_the_docstrings_have_an_example(name):
    assert ">>> " in getattr(medvis, name).__doc__


def picture_in(html: str) -> np.ndarray:
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_a_diagnosis_shows_itself_with_its_picture(slices):
    report = medvis.diagnose(slices[1])
    html = report._repr_html_()
    assert report.verdict.decision.upper() in html
    assert html.count("<tr>") == len(report.findings) + bool(report.findings)
    assert min(picture_in(html).shape[:2]) > 300
    plain = Report.model_validate_json(report.model_dump_json())
    assert plain == report and "<img" not in plain._repr_html_()
    assert picture_in(pickle.loads(pickle.dumps(report))._repr_html_()).shape == picture_in(html).shape


def test_an_outcome_shows_itself_with_its_picture(slices):
    outcome = medvis.Pipeline("lung-nodule").outcome(medvis.load(slices[1]))
    assert isinstance(outcome, medvis.Outcome)
    assert picture_in(outcome._repr_html_()).ndim == 3
    assert "<img" not in make_outcome()._repr_html_()


def test_text_of_a_file_is_no_markup():
    outcome = make_outcome(findings=2, path="<script>alert(1)</script>.dcm")
    report = outcome.report.model_copy(update={"notes": ["<b>&"], "title": "<i>"})
    html = replace(outcome, report=report)._repr_html_()
    assert "<script" not in html and "<i>" not in html and "<b>&<" not in html
    assert "&lt;script&gt;" in html and "<li>&lt;b&gt;&amp;</li>" in html


def test_a_picture_or_nothing_is_no_part_of_what_a_report_says():
    report = make_outcome().report
    assert report.with_picture(b"one") == report.with_picture(b"other") == report
    assert report.with_picture(b"one").model_dump_json() == report.model_dump_json()
