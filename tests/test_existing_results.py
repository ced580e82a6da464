"""Results that exist: told before any work, an error of that case alone, or skipped if of the same image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from medvis import pipeline

ONLY = ("--write", "json", "-q")


@pytest.fixture
def pictures():
    """Two pictures in a folder, beside it one of the first one's name."""
    pixels = np.random.default_rng(5).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    for name, one in zip(("in/a.png", "in/b.png", "a.png"), pixels, strict=True):
        Path(name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, one)
    return [Path("in/a.png"), Path("in/b.png")]


def reports():
    return {path.parent.name: path.read_bytes() for path in Path("out").rglob("report.json")}


def test_an_existing_result_is_the_error_of_its_case_and_told_before_any_work(medvis, slices, monkeypatch):
    assert medvis("diagnose", *slices[:2], "-o", "out", *ONLY).code == 0
    Path("out/b/report.json").unlink()
    said = []
    real = pipeline.open_model
    monkeypatch.setattr(pipeline, "open_model", lambda config: said.append("model") or real(config))
    monkeypatch.setattr("medvis.cli.shown.explain", lambda error, name: said.append(error.found) or error.exit_code)
    ran = medvis("diagnose", *slices, "absent.dcm", "-o", "out", *ONLY)
    assert ran.code == 8 and ran.stderr == "medvis: error: 2 of 4 cases failed\n"
    assert said == ["absent.dcm does not exist", "out/a/report.json exists already", "model"]
    assert set(reports()) == {"a", "b", "c"}


def test_all_existing_end_with_the_code_of_output(medvis, slices):
    assert medvis("diagnose", *slices[:2], "-o", "out", *ONLY).code == 0
    ran = medvis("diagnose", *slices[:2], "-o", "out", *ONLY)
    assert ran.code == 7 and len(ran.stderr.splitlines()) == 2
    medvis("diagnose", slices[0], "-o", "out/a", *ONLY).error(7)


def test_what_exists_is_skipped_and_counted(medvis, pictures):
    steel = ("--task", "steel", "-o", "out")
    assert medvis("diagnose", "in", *steel, *ONLY).code == 0
    before = reports()
    cv2.imwrite("in/c.png", np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
    ran = medvis("diagnose", "in", *steel, "--write", "json", "--skip-existing")
    assert ran.code == 0
    assert ran.stderr.splitlines()[-1].endswith("; 2 skipped, their results exist")
    after = reports()
    assert set(after) == {"a", "b", "c"} and {name: after[name] for name in before} == before
    ran = medvis("diagnose", *pictures, *steel, "--write", "json", "--skip-existing")
    assert (ran.code, ran.stderr) == (0, "medvis: 2 skipped, their results exist\n")


def test_other_settings_are_said(medvis, pictures):
    steel = ("--task", "steel", "-o", "out", "--write", "json")
    assert medvis("diagnose", "in", *steel).code == 0
    ran = medvis("diagnose", "in", *steel, "--skip-existing", "--set", "stages.judge.spread=0.2")
    assert ran.stderr == "medvis: 2 skipped, their results exist, 2 of them by other settings, model or version\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: shutil.copy("a.png", "in/a.png"), "out/a holds the result of another image (in/a.png)"),
        (lambda: Path("out/a/report.json").write_text("{}"), "cannot be read as a report"),
        (lambda: Path("out/a/heatmap.png").unlink(), "out/a holds a result without heatmap.png"),
        (lambda: Path("out/a/report.json").unlink(), "out/a/heatmap.png exists already"),
        (lambda: Path("out/a/report.json").write_text(
            Path("out/a/report.json").read_text().replace('"steel"', '"iron"')), "a result of task 'iron'"),
    ],
)  # fmt: skip
def test_what_is_not_its_result_is_neither_taken_nor_replaced(medvis, pictures, change, words):
    steel = ("--task", "steel", "-o", "out", "-q")
    assert medvis("diagnose", *pictures, *steel).code == 0
    change()
    before = {path: path.read_bytes() for path in Path("out").rglob("*.*")}
    ran = medvis("diagnose", *pictures, *steel, "--skip-existing")
    assert ran.code == 8 and words in ran.stderr.splitlines()[0]
    assert {path: path.read_bytes() for path in Path("out").rglob("*.*")} == before


def test_volumes_of_a_study_are_known_by_their_series(medvis, slices, tmp_path):
    for name, path in zip("xy", slices, strict=False):
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID, ds.SeriesNumber = f"1.2.{ord(name)}", ord(name)
        (tmp_path / "study").mkdir(exist_ok=True)
        ds.save_as(tmp_path / "study" / name)
    assert medvis("diagnose", tmp_path / "study", "-o", "out", *ONLY).code == 0
    ran = medvis("diagnose", tmp_path / "study", "-o", "out", "--write", "json", "--skip-existing")
    assert (ran.code, ran.stderr) == (0, "medvis: 2 skipped, their results exist\n")
    names = sorted(reports())
    shutil.copy(f"out/{names[0]}/report.json", f"out/{names[1]}/report.json")
    ran = medvis("diagnose", tmp_path / "study", "-o", "out", "--skip-existing", *ONLY)
    assert ran.code == 8 and "another image" in ran.stderr


def test_what_is_skipped_counts_for_flags(medvis, slices):
    decision = medvis("diagnose", slices[1], "-o", "out", "--json", "-q").json["verdict"]["decision"]
    again = ("diagnose", slices[1], "-o", "out", "-q", "--skip-existing", "--fail-on")
    assert medvis(*again, decision).code == 9
    assert medvis(*again, "negative" if decision != "negative" else "positive").code == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--force", "-o", "out"], "--force"), (["--json"], "-o FOLDER"), (["--write", "mask"], "json")],
)
def test_flags_that_contradict_it_are_wrong_use(medvis, slices, options, word):
    assert word in medvis("diagnose", slices[1], "--skip-existing", *options).error(2)


def test_a_missing_input_is_said_before_an_existing_result(medvis, slices):
    assert medvis("diagnose", slices[1], "-o", "out", *ONLY).code == 0
    assert "absent.dcm does not exist" in medvis("diagnose", "absent.dcm", "-o", "out").error(3)
    Path("notes.txt").write_text("hello")
    assert "notes.txt is text" in medvis("diagnose", "notes.txt", "-o", "out").error(3)
    assert json.loads(Path("out/report.json").read_text())
