"""`medvis diagnose` and `medvis info` of a study with several volumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dicom_maker as maker
import pydicom
import pytest


def small(series_folder, target, step=slice(6, 9), **tags):
    """A few slices of the sample series, as a series of its own."""
    for number, path in enumerate(sorted(series_folder.iterdir())[step]):
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = maker.uid_of(tags, number)
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
        maker.save(ds, target / f"{number}")


class TestCommands:
    @pytest.fixture
    def study(self, series, tmp_path):
        folder = tmp_path / "study"
        small(series, folder / "1", slice(6, 8), SeriesInstanceUID="1.2.1", SeriesNumber=2, SeriesDescription="Lung")
        small(series, folder / "2", slice(7, 8), SeriesInstanceUID="1.2.2", SeriesNumber=3, SeriesDescription="Soft")
        small(series, folder / "3", slice(7, 8), SeriesInstanceUID="1.2.3", SeriesNumber=4, Modality="MR")
        return folder

    def test_diagnose_gives_a_folder_a_volume(self, medvis, study):
        ran = medvis("diagnose", study, "-o", "out", "--write", "json", "--task", "lung-nodule")
        assert ran.code == 0
        assert sorted(path.as_posix() for path in Path("out").rglob("*.json")) == [
            "out/series-2-lung/report.json", "out/series-3-soft/report.json",
        ]  # fmt: skip
        assert [line for line in ran.stderr.splitlines() if "left out" in line] == [
            "medvis: left out series-4-pyradiomics-3-0-1 is of modality MR"
        ]

    def test_series_picks_one_into_the_folder_itself(self, medvis, study):
        assert medvis("diagnose", study, "-o", "out", "--write", "json", "-q", "--series", 3).code == 0
        assert [path.as_posix() for path in Path("out").rglob("*.json")] == ["out/report.json"]
        assert json.loads(Path("out/report.json").read_text())["scan"]["series_uid"] == "1.2.2"
        assert "holds no series '9'" in medvis("diagnose", study, "-o", "no", "--series", 9).error(3)
        assert "is of modality MR" in medvis(
            "diagnose", study, "-o", "no", "--task", "lung-nodule", "--series", 4
        ).error(3)
        assert not Path("no").exists()

    def test_nothing_fits(self, medvis, study):
        for name in ("1", "2"):
            for path in (study / name).iterdir():
                maker.save(maker.with_tags(pydicom.dcmread(path), {"BodyPartExamined": "KNEE"}), path)
        line = medvis("diagnose", study, "-o", "out", "--task", "lung-nodule").error(3)
        assert line.startswith(
            f"nothing in {study} can be diagnosed: series-2-lung shows KNEE | series-3-soft shows KNEE"
        )
        assert list(Path().iterdir()) == []

    def test_one_bad_volume_does_not_stop_the_other(self, medvis, study):
        broken = study / "2" / "0"
        broken.write_bytes(broken.read_bytes()[:-5000])
        ran = medvis("diagnose", study, "-o", "out", "--write", "json", "-q", "--task", "lung-nodule")
        assert ran.code == 8
        first, last = ran.stderr.splitlines()
        assert "series-3-soft" in first and "truncated" in first
        assert last == "medvis: error: 1 of 2 cases failed"
        assert [path.as_posix() for path in Path("out").rglob("*.json")] == ["out/series-2-lung/report.json"]

    def test_json_is_one_line_a_volume(self, medvis, study):
        ran = medvis("diagnose", study, "--json", "-q", "--task", "lung-nodule")
        assert [line["scan"]["frames"] for line in ran.lines] == [2, 1]

    def test_existing_results_of_a_volume_are_kept(self, medvis, study):
        Path("out/series-3-soft").mkdir(parents=True)
        Path("out/series-3-soft/report.json").write_text("mine")
        ran = medvis("diagnose", study, "-o", "out", "--write", "json", "-q", "--task", "lung-nodule")
        assert ran.code == 8 and "series-3-soft/report.json exists already" in ran.stderr.splitlines()[0]
        assert Path("out/series-3-soft/report.json").read_text() == "mine"
        assert Path("out/series-2-lung/report.json").is_file()

    def test_info_lists_the_volumes(self, medvis, study):
        ran = medvis("info", study)
        rows = [line.split("\t") for line in ran.stdout.decode().splitlines()]
        assert rows[0][:3] == ["volume", "modality", "images"]
        assert [row[:4] for row in rows[1:3]] == [
            ["series-2-lung", "CT", "2", "512x512"], ["series-3-soft", "CT", "1", "512x512"],
        ]  # fmt: skip
        facts = medvis("info", study, "--json").json
        assert [volume["series_uid"] for volume in facts["volumes"]] == ["1.2.1", "1.2.2", "1.2.3"]
        assert medvis("info", study, "--series", "1.2.1", "--json").json["frames"] == 2
        shutil.rmtree(study / "2")
        shutil.rmtree(study / "3")
        assert medvis("info", study, "--json").json["frames"] == 2
