"""The README tells of every command and option that it shows, and of nothing that is not there."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from medvis.cli.main import COMMANDS
from medvis.errors import FLAGGED, INTERRUPTED, MedvisError
from medvis.model.bundle import read_card

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BUNDLES = Path(__file__).parent.parent / "medvis" / "bundles"
SHELL = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name):
    assert f"`medvis {name}" in README


def test_the_readme_shows_no_command_that_is_not_there():
    calls = [call for block in SHELL for call in re.findall(r"(?:^|[|&] )medvis (\S+)", block, re.MULTILINE)]
    assert calls
    assert {call for call in calls if not call.startswith("-")} <= set(COMMANDS)
    assert set(re.findall(r"`medvis ([a-z]+)", README)) <= set(COMMANDS)


@pytest.mark.parametrize("line", [line for block in SHELL for line in block.splitlines() if "medvis" in line])
def test_every_option_shown_is_one_of_its_command(line):
    for call in re.split(r"\|\|?|&&", line.partition(" #")[0]):
        words = shlex.split(call)
        if words[:1] != ["medvis"]:
            continue
        text = subprocess.run(
            [sys.executable, "-m", "medvis", words[1], "--help"], capture_output=True, text=True, check=True
        ).stdout
        options = [word for word in words[2:] if re.match(r"--?[a-z]", word)]
        assert [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)] == []


def test_ci_runs_two_commands_of_the_readme_as_written():
    marked = re.findall(r"<!-- ci -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert [block.strip() for block in marked] == ["medvis diagnose sample_data/lung1 -o out", "python -m pytest"]


def test_every_exit_code_is_explained():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = {kind.exit_code for kind in MedvisError.__subclasses__()}
    assert codes == kinds | {0, 1, FLAGGED, INTERRUPTED}


@pytest.mark.parametrize("task", [path.parent.name for path in sorted(BUNDLES.glob("*/card.yaml"))])
def test_the_figures_are_those_of_the_cards(task):
    """Whatever has a bar on a card stands in the README as it was measured, and says so where the bar is missed."""
    shown = re.search(r"<!-- figures -->\n(.*)<!-- /figures -->", README, re.DOTALL)[1]
    rows = re.findall(r"^\|(.*)\|$", shown, re.MULTILINE)
    start = next(place for place, row in enumerate(rows) if row.startswith(f" `{task}` |"))
    mine = [rows[start], *itertools.takewhile(lambda row: row.startswith(" |"), rows[start + 1 :])]
    wanted = [figure for figure in read_card(BUNDLES / task).figures if figure.bar]
    assert [tuple(cell.strip() for cell in row.split("|")[2:4]) for row in mine] == [_told(one) for one in wanted]


def _told(figure):
    interval = "" if figure.ci95 is None else f" [{figure.ci95[0]:.3f}, {figure.ci95[1]:.3f}]"
    return f"{figure.value:.3f}{interval}", figure.bar + ("" if figure.reached else ", missed")


def test_relative_files_that_the_readme_names_exist():
    root = Path(__file__).parent.parent
    for name in re.findall(r"`(configs/\S+|sample_data/\S*|LICENSE)`", README):
        assert (root / name).exists(), name
