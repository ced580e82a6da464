"""The stages as commands: composed, they are `diagnose`; out of order, they say what to run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import canonical
from tiny_bundle import contract_of, write_bundle
from tiny_whole import CHEST, CLASSES_ONLY, OUTLINED, patch, write_whole

from medvis.core.report import Report
from medvis.io.readers.casefile import load_case

PYTHON = shlex.quote(sys.executable)


@pytest.fixture
def shell():
    """Runs a line of bash in which `medvis` is this medvis."""

    def run(line: str) -> subprocess.CompletedProcess[bytes]:
        script = f'set -o pipefail; medvis() {{ {PYTHON} -m medvis "$@"; }}; {line}'
        return subprocess.run(["bash", "-c", script], capture_output=True, check=False)

    return run


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
        pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "medvis", "window", str(slices[1])]
        ran = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
        os.close(theirs)
        os.close(ours)
        assert ran.returncode == 2
        assert "-o FILE" in ran.stderr


@pytest.fixture
def whole(medvis):
    """A task of classes with a real graph without masks, and a picture for it, in the folder of the run."""
    import cv2

    pytest.importorskip("torch", reason="the graph is made with the extra 'train'")
    path = write_whole(Path(), CLASSES_ONLY, bundle="tones")
    write_bundle(Path("tones"), labels=CHEST, masks=[], input=contract_of(path), thresholds={})
    cv2.imwrite("picture.png", patch().astype(np.uint8))
    return path


class TestChainOfClasses:
    def test_a_task_without_outlines_is_chained_without_segment(self, medvis, whole):
        steps = [
            ("window", "picture.png", "--task", whole, "-o", "1.case"),
            ("enhance", "1.case", "-o", "2.case"),
            ("infer", "2.case", "-o", "3.case"),
            ("report", "3.case", "-o", "chain", "-q"),
        ]
        for step in steps:
            ran = medvis(*step)
            assert ran.code == 0, ran.stderr
        assert medvis("diagnose", "picture.png", "--task", whole, "-o", "whole", "-q").code == 0
        text = Path("whole/report.json").read_bytes()
        assert canonical(Path("chain/report.json").read_bytes()) == canonical(text)
        assert sorted(path.name for path in Path("whole").iterdir()) == ["heatmap.png", "report.json"]
        assert {reading.name for reading in Report.model_validate_json(text).classes} == {"tuberculosis", "normal"}
        assert "has no stage 'segment'" in medvis("segment", "3.case", "-o", "x.case").error(4)

    def test_the_summary_tells_the_classes(self, medvis, whole):
        ran = medvis("diagnose", "picture.png", "--task", whole, "-o", "out")
        assert ran.code == 0, ran.stderr
        first = medvis("diagnose", "picture.png", "--task", whole, "--json", "-q").json["classes"][0]
        assert "classes: " in ran.stderr and f"{first['name']} {first['probability']:.0%}" in ran.stderr
        assert "outlines nothing" in ran.stderr

    def test_a_task_that_outlines_too_is_chained_through_segment(self, medvis, whole):
        path = write_whole(Path(), OUTLINED, bundle="tones")
        write_bundle(Path("tones"), labels=CHEST, input=contract_of(path), thresholds={"high": 0.5})
        for command, source, target in (("window", "picture.png", "1"), ("enhance", "1", "2"), ("infer", "2", "3")):
            chosen = ("--task", whole) if command == "window" else ()
            assert medvis(command, source, *chosen, "-o", target).code == 0
        assert medvis("segment", "3", "-o", "4").code == 0
        assert load_case(Path("4").read_bytes()).classes is not None
        assert medvis("report", "4", "-o", "chain", "-q").code == 0
        assert medvis("diagnose", "picture.png", "--task", whole, "-o", "whole", "-q").code == 0
        assert canonical(Path("chain/report.json").read_bytes()) == canonical(Path("whole/report.json").read_bytes())
        assert Path("chain/mask.png").read_bytes() == Path("whole/mask.png").read_bytes()
