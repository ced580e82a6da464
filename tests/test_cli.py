"""The command line as a user meets it: files, streams, exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medvis as package
from medvis.cli.cases import targets
from medvis.cli.main import COMMANDS
from medvis.cli.options import bundled_tasks, chosen, overrides
from medvis.core.report import Report
from medvis.errors import UsageError
from medvis.io.casefile import load_case
from medvis.io.json_report import report_schema, report_text
from medvis.settings import task_names

PYTHON = shlex.quote(sys.executable)


def canonical(text: bytes | str) -> dict:
    return Report.model_validate_json(text).canonical()


@pytest.fixture
def shell():
    """Runs a line of bash in which `medvis` is this medvis."""

    def run(line: str) -> subprocess.CompletedProcess[bytes]:
        script = f'set -o pipefail; medvis() {{ {PYTHON} -m medvis "$@"; }}; {line}'
        return subprocess.run(["bash", "-c", script], capture_output=True, check=False)

    return run


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
        real = pipeline._open_model
        monkeypatch.setattr(pipeline, "_open_model", lambda config: opened.append(config.task) or real(config))
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
        Path("out/c").mkdir(parents=True)
        Path("out/c/mask.png").write_text("mine")
        medvis("diagnose", *slices, "-o", "out").error(7)
        assert [str(path) for path in Path("out").rglob("*")] == ["out/c", "out/c/mask.png"]

    @given(st.lists(st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name), min_size=2, max_size=8))
    def test_folders_are_safe_and_unique(self, names):
        folders = targets([Path(name) for name in names], Path("out"))
        assert all(folder.parent == Path("out") for folder in folders)
        assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", folder.name) for folder in folders)
        assert len({folder.name.lower() for folder in folders}) == len(names)

    def test_folders_are_named_after_the_paths(self, tmp_path, monkeypatch):
        (tmp_path / "over here" / "down").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "over here" / "down")
        paths = ["a/x.dcm", "b/X.DCM", "c/x.nii.gz", "..", ".", "my scan.png", "1.2.840", "x-3", "/", "\u00fc.dcm"]
        names = [folder.name for folder in targets([Path(path) for path in paths], Path("out"))]
        assert names == ["x", "X-2", "x-3", "over_here", "down", "my_scan", "1.2.840", "x-3-2", "case", "case-2"]


class TestChain:
    def test_files_give_what_diagnose_gives(self, medvis, slices):
        steps = [
            ("window", slices[1], "-o", "1.case"),
            ("enhance", "1.case", "-o", "2.case"),
            ("infer", "2.case", "-o", "3.case"),
            ("segment", "3.case", "-o", "4.case"),
            ("report", "4.case", "-o", "chain", "-q"),
        ]
        for step in steps:
            assert medvis(*step).code == 0
        assert medvis("diagnose", slices[1], "-o", "whole", "-q").code == 0
        assert canonical(Path("chain/report.json").read_bytes()) == canonical(Path("whole/report.json").read_bytes())
        assert Path("chain/mask.png").read_bytes() == Path("whole/mask.png").read_bytes()

    def test_pipes_give_what_diagnose_gives(self, medvis, shell, short_series):
        chain = "medvis enhance - | medvis infer | medvis segment - | medvis report - --json --quiet"
        ran = shell(f"medvis window {shlex.quote(str(short_series))} | {chain}")
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert Report.model_validate_json(ran.stdout).scan.frames == 3
        assert canonical(ran.stdout) == canonical(medvis("diagnose", short_series, "--json", "-q").stdout)

    def test_a_scan_from_stdin(self, medvis, slices):
        ran = medvis("window", "-", stdin=slices[1].read_bytes())
        assert ran.code == 0, ran.stderr
        piped, named = load_case(ran.stdout).scan, load_case(medvis("window", slices[1]).stdout).scan
        np.testing.assert_array_equal(piped.pixels, named.pixels)
        assert (piped.source.path, piped.source.sha256) == ("-", named.source.sha256)
        assert b"medvis-" not in ran.stdout.replace(b"medvis-case", b"")

    @pytest.mark.parametrize("command", ["enhance", "infer", "segment", "report"])
    def test_a_raw_scan_is_told_the_way(self, medvis, slices, command):
        line = medvis(command, slices[1], "-o", "x").error(3)
        assert f"medvis window {slices[1]} | medvis enhance -" in line

    def test_a_stage_without_the_one_before(self, medvis, slices):
        assert medvis("window", slices[1], "-o", "1.case").code == 0
        assert "'medvis enhance'" in medvis("segment", "1.case", "-o", "x.case").error(6)
        assert "'medvis enhance'" in medvis("report", "1.case", "-o", "out").error(6)
        assert sorted(path.name for path in Path().iterdir()) == ["1.case"]

    def test_a_stage_twice(self, medvis, slices):
        windowed = medvis("window", slices[1]).stdout
        enhanced = medvis("enhance", stdin=windowed).stdout
        assert "already; the next is 'medvis infer'" in medvis("enhance", "-", stdin=enhanced).error(6)

    def test_empty_stdin_and_a_damaged_case(self, medvis, slices):
        assert "empty" in medvis("infer", "-").error(3)
        medvis("infer", "-", stdin=medvis("window", slices[1]).stdout[:5000]).error(3)
        medvis("infer", "-", stdin=b"x" * 5000).error(3)

    def test_an_existing_case_file_is_kept_without_force(self, medvis, slices):
        Path("1.case").write_text("mine")
        assert "--force" in medvis("window", slices[1], "-o", "1.case").error(7)
        assert Path("1.case").read_text() == "mine"
        assert medvis("window", slices[1], "-o", "1.case", "--force").code == 0
        assert "there is no folder" in medvis("window", slices[1], "-o", "absent/1.case").error(7)

    def test_a_terminal_gets_no_binary_data(self, slices, tmp_path):
        import pty

        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "medvis", "window", str(slices[1])]
        ran = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
        os.close(theirs)
        os.close(ours)
        assert ran.returncode == 2
        assert "-o FILE" in ran.stderr


class TestFacts:
    def test_info_of_one_and_of_many(self, medvis, series, slices):
        table = medvis("info", series)
        assert (table.code, table.stderr) == (0, "")
        assert b"CT" in table.stdout and b"\x1b" not in table.stdout
        assert isinstance(medvis("info", series, "--json").json, dict)
        both = medvis("info", *slices[:2], "--json")
        assert len(both.lines) == 2

    def test_info_goes_on_after_a_failure(self, medvis, slices):
        ran = medvis("info", "absent.dcm", slices[0], "--json")
        assert ran.code == 8
        assert len(ran.lines) == 1
        assert medvis("info", "absent.dcm").error(3)

    def test_tasks_lists_what_is_bundled(self, medvis):
        text = medvis("tasks")
        assert text.code == 0 and b"lung-nodule" in text.stdout
        bodies = medvis("tasks", "--json").json
        assert [body["task"] for body in bodies] == list(task_names())
        assert all(body["card"]["figures"] for body in bodies)
        assert medvis("tasks", "lung-nodule", "--json").json == bodies[0]
        assert b"known failures" in medvis("tasks", "lung-nodule").stdout
        medvis("tasks", "nonsense").error(4)

    def test_schema(self, medvis):
        assert medvis("schema").json == report_schema()

    def test_version(self, medvis):
        assert medvis("--version").stdout.decode() == f"medvis {package.__version__}\n"

    def test_phantom(self, medvis):
        ran = medvis("phantom", "-o", "ph", "--frames", 2, "--seed", 3)
        assert ran.code == 0
        assert sorted(ran.stdout.decode().split()) == sorted(str(path) for path in Path("ph").rglob("*.*"))
        assert json.loads(Path("ph/truth.json").read_text())["spec"]["seed"] == 3
        assert "--force" in medvis("phantom", "-o", "ph").error(7)
        assert medvis("phantom", "-o", "ph", "--frames", 1, "--force").code == 0
        assert len(list(Path("ph/series").iterdir())) == 1


class TestUsage:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_help(self, medvis, name):
        ran = medvis(name, "--help")
        assert ran.code == 0
        assert " ".join(COMMANDS[name][1].split()) in " ".join(ran.stdout.decode().split())

    @pytest.mark.parametrize("arguments", [["difgnose"], ["diagnose"], ["info", "--nonsense"], []])
    def test_wrong_use_is_exit_2(self, medvis, arguments):
        ran = medvis(*arguments)
        assert ran.code == 2
        assert "diagnose" in ran.stderr or "info" in ran.stderr

    @pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
    def test_completion_is_shown(self, shell_name, tmp_path):
        environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
        command = [sys.executable, "-m", "medvis", "--show-completion", shell_name]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "_MEDVIS_COMPLETE" in ran.stdout

    @pytest.mark.parametrize(
        ("words", "wanted"),
        [("medvis dia", "diagnose"), ("medvis diagnose --task lu", "lung-nodule"), ("medvis tasks lu", "lung-nodule"),
         ("medvis diagnose --write json,he", "json,heatmap")],
    )  # fmt: skip
    def test_completion_knows_commands_tasks_and_writers(self, words, wanted):
        environment = {
            **os.environ, "_MEDVIS_COMPLETE": "complete_bash", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }  # fmt: skip
        ran = subprocess.run(
            [sys.executable, "-m", "medvis"], env=environment, capture_output=True, text=True, check=False
        )
        assert ran.stdout.split() == [wanted]

    def test_completion_knows_the_tasks_that_settings_know(self):
        assert bundled_tasks() == list(task_names())

    def test_lists_and_settings(self):
        assert chosen(" b,a,,b ", "--x", ("a", "b")) == ["b", "a"]
        assert overrides(["a.b=4", "c=[0.5, 1]", "d=x=y", "e="]) == {"a.b": 4, "c": [0.5, 1], "d": "x=y", "e": None}
        with pytest.raises(UsageError):
            overrides([".a=1"])


class TestFailures:
    def test_a_bug_is_one_line_too(self, medvis, monkeypatch, slices):
        def broken(path):
            raise KeyError("spacing")

        monkeypatch.setattr("medvis.pipeline.open_scan", broken)
        ran = medvis("diagnose", slices[0])
        assert ran.code == 1
        assert re.fullmatch(r"medvis: bug: KeyError: 'spacing' \(test_cli.py:\d+\), please report; .*\n", ran.stderr)
        monkeypatch.setenv("MEDVIS_TRACEBACK", "1")
        assert "Traceback" in medvis("diagnose", slices[0]).stderr

    @pytest.mark.parametrize(
        ("error", "code", "text"),
        [(KeyboardInterrupt(), 130, "medvis: interrupted"), (MemoryError(), 6, "not enough memory")],
    )
    def test_interrupts_and_memory(self, medvis, monkeypatch, slices, error, code, text):
        def broken(path):
            raise error

        monkeypatch.setattr("medvis.pipeline.open_scan", broken)
        ran = medvis("diagnose", *slices)
        assert ran.code == code
        assert text in ran.stderr

    @pytest.mark.parametrize(
        "arguments",
        [["train", "lung-nodule", "--data", "x", "-o", "y"],
         ["export", "w.safetensors", "--task", "lung-nodule", "--data", "x", "-o", "y"]],
    )  # fmt: skip
    def test_without_the_extra_one_line_says_what_to_install(self, arguments, tmp_path):
        """In a fresh process, because this one may hold torch already."""
        code = (
            "import sys; sys.modules['torch'] = None; "
            f"from medvis.cli.main import main; main({arguments!r})"
        )  # fmt: skip
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert ran.returncode == 4
        assert ran.stderr == "medvis: error: torch is not installed; pip install 'medvis[train]'\n"
        assert list(tmp_path.iterdir()) == []


class TestTerminal:
    def test_no_color_is_obeyed(self, slices, tmp_path):
        plain = _on_terminal(["diagnose", str(slices[1]), "-o", str(tmp_path / "a")], NO_COLOR="1")
        colour = _on_terminal(["diagnose", str(slices[1]), "-o", str(tmp_path / "b")])
        assert "\x1b[3" not in plain and "\x1b[1;3" not in plain
        assert "\x1b[" in colour

    @pytest.mark.parametrize("columns", [80, 120])
    def test_the_summary_fits_the_terminal(self, slices, tmp_path, columns):
        text = _on_terminal(["diagnose", str(slices[1]), "-o", "out"], COLUMNS=str(columns), NO_COLOR="1", cwd=tmp_path)
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()
        assert lines
        assert all(len(line) <= columns for line in lines if str(slices[1]) not in line)

    def test_a_bar_is_drawn_only_when_it_takes_long(self, slices, tmp_path):
        code = (
            "import medvis.cli.console as c, time; c.PATIENCE = {}\n"
            "with c.waiting('working', 2) as tick:\n"
            "    tick('first'); time.sleep(0.6); tick('second'); time.sleep(0.4)\n"
        )
        assert "working" in _on_terminal(code.format(0.1))
        assert _on_terminal(code.format(5.0)) == ""
        assert _on_terminal(code.format(0.1), TERM="dumb") == ""


def _on_terminal(what: list[str] | str, cwd: Path | None = None, **environment: str) -> str:
    """What a command (or a piece of Python) shows on a terminal that is its stderr."""
    import pty

    ours, theirs = pty.openpty()
    arguments = ["-c", what] if isinstance(what, str) else ["-m", "medvis", *what]
    base = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, *arguments], stderr=theirs, stdout=subprocess.DEVNULL, cwd=cwd,
        env={**base, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:
        pass  # Linux: the other side is closed
    os.close(ours)
    process.wait()
    return said.decode()
