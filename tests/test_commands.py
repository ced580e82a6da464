"""The commands beside `diagnose`, wrong use, completion, and failures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import medvis as package
from medvis.cli.main import COMMANDS
from medvis.cli.options import chosen, overrides
from medvis.errors import UsageError
from medvis.io.writers.json_report import report_schema
from medvis.tasks import task_names


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
        assert all(body["card"]["figures"] for body in bodies if body["card"])
        nodule = next(body for body in bodies if body["task"] == "lung-nodule")
        assert nodule["card"] and medvis("tasks", "lung-nodule", "--json").json == nodule
        assert b"known failures" in medvis("tasks", "lung-nodule").stdout
        medvis("tasks", "nonsense").error(4)

    def test_every_setting_of_a_task_is_listed_with_its_meaning(self, medvis):
        told = {
            setting["key"]: setting
            for name in task_names()
            for setting in medvis("tasks", name, "--settings", "--json").json
        }
        assert [key for key, setting in told.items() if not (setting["meaning"] and setting["kind"])] == []
        assert {"accepts.modalities", "stages.refine.method", "train.augment.motion", "train.labels[].low"} <= set(told)
        rate = told["train.rate"]
        assert (rate["kind"], rate["default"]) == ("number > 0, ≤ 1", "0.002")
        lines = medvis("tasks", "lung-nodule", "--settings").stdout.decode().splitlines()
        assert lines[0].split("\t") == ["setting", "value", "default", "here", "meaning"]
        assert "train.losses.classes\tnumber ≥ 0, ≤ 1000\t1.0\t2.0\tof the labels." in lines
        assert "medvis tasks TASK --settings" in medvis("tasks", "--settings").error(2)

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
        assert not re.search(r"<[a-z]|[{}]|\b(TEXT|INTEGER|FLOAT|BOOLEAN)\b", ran.stdout.decode())  # metavars

    @pytest.mark.parametrize(
        "arguments",
        [["difgnose"], ["diagnose"], ["info", "--nonsense"], ["info", "a", "--series"], ["phantom", "--frames", "x"]],
    )
    def test_wrong_use_is_one_line_and_exit_2(self, medvis, arguments):
        assert " -h" in medvis(*arguments).error(2)

    def test_without_a_command_the_help_is_shown(self, medvis):
        ran = medvis()
        assert ran.code == 2 and "diagnose" in ran.stderr

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

    def test_lists_and_settings(self):
        assert chosen([" b,a,,b ", "a"], "--x", ("a", "b")) == ["b", "a"]
        assert overrides(["a.b=4", "c=[0.5, 1]", "d=x=y", "e="]) == {"a.b": 4, "c": [0.5, 1], "d": "x=y", "e": None}
        with pytest.raises(UsageError):
            overrides([".a=1"])


class TestFailures:
    def test_a_bug_is_one_line_too(self, medvis, monkeypatch, slices):
        def broken(reader, path):
            raise KeyError("spacing")

        monkeypatch.setattr("medvis.dicom.read.reader.DicomReader.read", broken)
        ran = medvis("diagnose", slices[0])
        assert ran.code == 1
        assert re.fullmatch(
            r"medvis: bug: KeyError: 'spacing' \(test_commands.py:\d+\), please report; .*\n", ran.stderr
        )
        monkeypatch.setenv("MEDVIS_TRACEBACK", "1")
        assert "Traceback" in medvis("diagnose", slices[0]).stderr

    @pytest.mark.parametrize(
        ("error", "code", "text"),
        [(KeyboardInterrupt(), 130, "medvis: interrupted"), (MemoryError(), 6, "not enough memory")],
    )
    def test_interrupts_and_memory(self, medvis, monkeypatch, slices, error, code, text):
        def broken(reader, path):
            raise error

        monkeypatch.setattr("medvis.dicom.read.reader.DicomReader.read", broken)
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
