"""Options that take lists: given twice they add up, as they do with commas; options of one name take one."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest


@pytest.mark.parametrize("lists", [["json", "mask"], ["mask,json"], ["json,mask", "json"]])
def test_writers_add_up(medvis, slices, lists):
    options = [word for names in lists for word in ("--write", names)]
    assert medvis("diagnose", slices[1], "-o", "out", "-q", *options).code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["mask.png", "report.json"]


def test_writers_of_the_last_stage_add_up(medvis, slices):
    for command, given, made in (
        ("window", slices[1], "1"), ("enhance", "1", "2"), ("infer", "2", "3"), ("segment", "3", "4"),
    ):  # fmt: skip
        assert medvis(command, given, "-o", made, "-q").code == 0
    assert medvis("report", "4", "-o", "out", "-q", "--write", "json", "--write", "heatmap").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["heatmap.png", "report.json"]


def test_a_list_given_twice_is_checked_as_a_whole(medvis, slices):
    assert "poem" in medvis("diagnose", slices[1], "--write", "json", "--write", "poem").error(2)


@pytest.mark.parametrize("profile", [["uids,patient-characteristics"], ["uids", "patient-characteristics"]])
def test_profiles_of_deidentification_add_up(medvis, slices, profile):
    pytest.importorskip("dicomanonymizer", reason="needs medvis[deid]")
    options = [word for name in profile for word in ("--profile", name)]
    assert medvis("deidentify", slices[1], "-o", "clean", "-q", *options).code == 0
    ((path,),) = [list(Path("clean").rglob("*.dcm"))]
    codes = [item.CodeValue for item in pydicom.dcmread(path).DeidentificationMethodCodeSequence]
    assert {"113108", "113110"} <= set(codes)


@pytest.mark.parametrize("options", [["--via", "get,move"], ["--query", "PatientID=1", "--level", "study,series"]])
def test_one_name_is_not_a_list(medvis, options):
    pytest.importorskip("pynetdicom", reason="needs medvis[pacs]")
    assert "one of" in medvis("pull", "A@localhost:1", "--study", "1.2", "-o", "out", *options).error(2)
