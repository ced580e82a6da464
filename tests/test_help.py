"""`medvis help`: every page of the manual, as a list, in a pipe and on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import on_terminal

PAGES = sorted((Path(__file__).parent.parent / "medvis" / "help").glob("*.md"))


def test_the_list_has_one_line_a_page(medvis):
    lines = medvis("help").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in lines] == [page.stem for page in PAGES]
    assert all(line.split("\t")[1] for line in lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_in_a_pipe_a_page_is_as_it_is_written(medvis, page):
    ran = medvis("help", page.stem)
    assert (ran.code, ran.stderr, ran.stdout.decode()) == (0, "", page.read_text(encoding="utf-8"))


def test_an_unknown_topic_is_wrong_use_and_names_the_known_ones(medvis):
    message = medvis("help", "nonsense").error(2)
    assert all(page.stem in message for page in PAGES)


def test_a_command_without_a_page_says_where_its_options_are(medvis):
    assert "medvis push --help" in medvis("help", "push").error(2)


def test_a_terminal_gets_it_formatted_and_without_colour_as_it_is_written():
    written = next(page for page in PAGES if page.stem == "exit-codes").read_text(encoding="utf-8")
    formatted = on_terminal(["help", "exit-codes"], stdout=True)
    assert "\x1b[" in formatted and "| 130 |" not in formatted and "interrupted" in formatted
    assert on_terminal(["help", "exit-codes"], stdout=True, NO_COLOR="1").replace("\r\n", "\n") == written


def test_topics_are_completed():
    environment = {
        **os.environ, "_MEDVIS_COMPLETE": "complete_bash", "COMP_WORDS": "medvis help dicom", "COMP_CWORD": "2",
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-m", "medvis"], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["dicom-in", "dicom-out"]


def test_the_programs_own_help_names_it(medvis):
    assert "medvis help" in medvis("--help").stdout.decode()
