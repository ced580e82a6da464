"""`medvis diagnose` as a user meets it: files, streams, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import canonical
from hypothesis import given
from hypothesis import strategies as st

import medvis as package
from medvis.batch.select import result_folders
from medvis.core.report import Report
from medvis.io.writers.json_report import report_text


class TestDiagnose:
    def test_a_series_gives_report_heatmap_and_mask(self, medvis, short_series):
        ran = medvis("diagnose", short_series, "-o", "out")
        assert (ran.code, ran.stdout) == (0, b"")
        assert sorted(path.name for path in Path("out").iterdir()) == ["heatmap.png", "mask.nii.gz", "report.json"]
        report = Report.model_validate_json(Path("out/report.json").read_bytes())
        assert report.scan.frames == 3
        assert report.verdict.decision.upper() in ran.stderr
        assert "out/report.json" in ran.stderr and "Research use only" in ran.stderr

    def test_one_slice_goes_to_the_default_folder(self, medvis, slices):
        assert medvis("diagnose", slices[1]).code == 0
        assert sorted(path.name for path in Path("medvis-out").iterdir()) == ["heatmap.png", "mask.png", "report.json"]

    def test_json_is_the_text_of_the_report_and_writes_nothing(self, medvis, slices):
        ran = medvis("diagnose", slices[1], "--json", "--quiet")
        assert (ran.code, ran.stderr) == (0, "")
        assert ran.stdout.decode() == report_text(Report.model_validate_json(ran.stdout))
        assert list(Path().iterdir()) == []

    def test_two_runs_give_the_same_report(self, medvis, slices):
        first, second = (medvis("diagnose", slices[1], "--json", "-q").stdout for _ in range(2))
        assert canonical(first) == canonical(second)

    def test_write_chooses_the_files(self, medvis, slices):
        assert medvis("diagnose", slices[1], "-o", "out", "--write", "mask, json", "--quiet").code == 0
        assert sorted(path.name for path in Path("out").iterdir()) == ["mask.png", "report.json"]

    def test_json_beside_an_output_folder_does_both(self, medvis, slices):
        ran = medvis("diagnose", slices[1], "--json", "-q", "-o", "out", "--write", "json")
        assert Path("out/report.json").read_bytes() == ran.stdout

    def test_python_gives_the_same_report(self, medvis, slices):
        ran = medvis("diagnose", slices[1], "--json", "-q")
        assert package.diagnose(slices[1]).canonical() == canonical(ran.stdout)

    def test_a_setting_reaches_the_stage_and_changes_the_hash(self, medvis, slices):
        plain = medvis("diagnose", slices[1], "--json", "-q").json["provenance"]
        changed = medvis("diagnose", slices[1], "--json", "-q", "--set", "stages.segment.min_pixels=100000")
        assert changed.json["findings"] == []
        assert changed.json["provenance"]["config_sha256"] != plain["config_sha256"]

    @pytest.mark.parametrize(
        ("options", "code", "word"),
        [
            (["--set", "stages.segment.min_pixels"], 2, "KEY=VALUE"),
            (["--set", "a=[1"], 2, "YAML"),
            (["--set", "stages.segment.nonsense=1"], 4, "stages.segment"),
            (["--set", "nonsense=1"], 4, "nonsense"),
            (["--task", "nonsense"], 4, "lung-nodule"),
            (["--task", "./absent.yaml"], 4, "absent.yaml"),
            (["--write", "json,poem"], 2, "heatmap"),
            (["--write", ""], 2, "heatmap"),
            (["--fail-on", "sunshine"], 2, "refer"),
            (["--json", "--write", "mask"], 2, "-o"),
        ],
    )
    def test_wrong_options_are_one_line(self, medvis, slices, options, code, word):
        assert word in medvis("diagnose", slices[1], *options).error(code)
        assert list(Path().iterdir()) == []

    def test_fail_on_names_the_verdict(self, medvis, slices):
        decision = medvis("diagnose", slices[1], "--json", "-q").json["verdict"]["decision"]
        others = ",".join({"positive", "negative", "refer"} - {decision})
        assert medvis("diagnose", slices[1], "-o", "one", "-q", "--fail-on", f"refer,{decision}").code == 9
        assert Path("one/report.json").is_file()
        assert medvis("diagnose", slices[1], "-o", "two", "-q", "--fail-on", others).code == 0


class TestSeveral:
    def test_a_folder_each_and_one_model(self, medvis, slices, monkeypatch):
        from medvis import pipeline

        opened = []
        real = pipeline.open_model
        monkeypatch.setattr(pipeline, "open_model", lambda config: opened.append(config.task) or real(config))
        assert medvis("diagnose", *slices, "-o", "out", "-q", "--write", "json").code == 0
        assert sorted(str(path) for path in Path("out").rglob("*.json")) == [
            f"out/{name}/report.json" for name in ("a", "b", "c")
        ]
        assert opened == ["lung-nodule"]

    def test_json_lines_are_in_the_order_of_the_paths(self, medvis, slices):
        ran = medvis("diagnose", *reversed(slices), "--json", "-q")
        assert [line["scan"]["path"] for line in ran.lines] == [str(path) for path in reversed(slices)]
        assert canonical(ran.stdout.splitlines()[1]) == canonical(medvis("diagnose", slices[1], "--json", "-q").stdout)

    def test_one_failure_does_not_stop_the_others(self, medvis, slices):
        Path("bad.dcm").write_bytes(b"")
        ran = medvis("diagnose", slices[0], "bad.dcm", slices[1], "-o", "out", "-q")
        assert ran.code == 8
        first, last = ran.stderr.splitlines()
        assert "bad.dcm" in first
        assert last == "medvis: error: 1 of 3 cases failed"
        assert sorted(path.name for path in Path("out").iterdir()) == ["a", "b"]

    def test_when_all_fail_alike_their_code_stays(self, medvis):
        ran = medvis("diagnose", "x.dcm", "y.dcm", "-o", "out")
        assert ran.code == 3
        assert len(ran.stderr.splitlines()) == 2
        assert list(Path().iterdir()) == []

    def test_all_targets_are_checked_before_any_work(self, medvis, slices):
        for name in "abc":
            Path("out", name).mkdir(parents=True)
            Path("out", name, "mask.png").write_text("mine")
        assert medvis("diagnose", *slices, "-o", "out").code == 7
        assert {path.name for path in Path("out").rglob("*.*")} == {"mask.png"}

    @given(st.lists(st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name), min_size=2, max_size=8))
    def test_folders_are_safe_and_unique(self, names):
        folders = result_folders([Path(name) for name in names], Path("out"))
        assert all(folder.parent == Path("out") for folder in folders)
        assert all(re.fullmatch(r"[\w-][\w.-]*", folder.name) for folder in folders)
        assert len({folder.name.casefold() for folder in folders}) == len(names)

    def test_folders_are_named_after_the_paths(self, tmp_path, monkeypatch):
        (tmp_path / "over here" / "down").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "over here" / "down")
        paths = ["a/x.dcm", "b/X.DCM", "c/x.nii.gz", "..", ".", "my scan.png", "1.2.840", "x-3", "/", "\u00fc.dcm"]
        names = [folder.name for folder in result_folders([Path(path) for path in paths], Path("out"))]
        assert names == ["x", "X-2", "x-3", "over_here", "down", "my_scan", "1.2.840", "x-3-2", "case", "\u00fc"]
