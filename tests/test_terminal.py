"""What a terminal gets: colour only where it is wanted, a bar only where it takes long."""

from __future__ import annotations

import re

import dicom_maker
import numpy as np
import pytest
from case_maker import make_outcome
from terminal import on_terminal

from medvis.cli.summary import show


class TestTerminal:
    def test_no_color_is_obeyed(self, slices, tmp_path):
        plain = on_terminal(["diagnose", str(slices[1]), "-o", str(tmp_path / "a")], NO_COLOR="1")
        colour = on_terminal(["diagnose", str(slices[1]), "-o", str(tmp_path / "b")])
        assert "\x1b[3" not in plain and "\x1b[1;3" not in plain
        assert "\x1b[" in colour

    @pytest.mark.parametrize("columns", [80, 120])
    def test_the_summary_fits_the_terminal(self, slices, tmp_path, columns):
        text = on_terminal(["diagnose", str(slices[1]), "-o", "out"], COLUMNS=str(columns), NO_COLOR="1", cwd=tmp_path)
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()
        assert lines
        assert all(len(line) <= columns for line in lines if str(slices[1]) not in line)

    @pytest.mark.parametrize("columns", [60, 80, 110])
    def test_tables_break_lines_between_words(self, tmp_path, columns):
        """Cells that are too long wrap at spaces and hyphens; no column shrinks to a letter a line."""
        tags = {"SeriesDescription": "Thorax native soft tissue kernel reconstruction", "SeriesNumber": 701}
        for number in range(2):
            place = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": list(dicom_maker.CORONAL)}
            dicom_maker.save(dicom_maker.ct(np.full((4, 4), number), **tags, **place), tmp_path / f"{number}")
        other = dicom_maker.ct(np.zeros((8, 8)), SeriesInstanceUID="1.2.3.4", SeriesNumber=9)
        dicom_maker.save(other, tmp_path / "other")
        text = on_terminal(["info", str(tmp_path)], stdout=True, COLUMNS=str(columns), NO_COLOR="1")
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()
        for word in ("thorax", "kernel", "coronal", "positions"):
            assert any(word in line for line in lines)
        assert all(len(line) <= columns for line in lines if str(tmp_path) not in line)

    def test_a_bar_is_drawn_only_when_it_takes_long(self):
        code = (
            "import medvis.cli.console as c, time; c.PATIENCE = {}\n"
            "with c.waiting('working', 2) as tick:\n"
            "    tick('first'); time.sleep(0.6); tick('second'); time.sleep(0.4)\n"
        )
        assert "working" in on_terminal(code.format(0.1))
        assert on_terminal(code.format(5.0)) == ""
        assert on_terminal(code.format(0.1), TERM="dumb") == ""

    @pytest.mark.parametrize(("spacing", "said"), [((0.7, 0.7), "{mm:.1f} mm"), (None, "{px:.0f} px")])
    def test_a_length_is_told_in_mm_or_in_pixels(self, capsys, spacing, said):
        report = make_outcome(spacing=spacing).report
        show(report, [], 1.0)
        told = capsys.readouterr().err
        for one in report.findings:
            assert f" {said.format(mm=one.longest_diameter_mm or 0, px=one.longest_diameter_px)} " in told
