"""README and manual tell of every command, and of nothing that is not there."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
import typer

from medvis.cli.main import COMMANDS, app
from medvis.errors import FLAGGED, INTERRUPTED, MedvisError
from medvis.model.bundle import read_card

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUNDLES = ROOT / "medvis" / "bundles"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "medvis" / "help").glob("*.md"))}
TEXTS = {"README": README, **PAGES}


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", text.replace("\\\n", " "), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    assert any(f"`medvis {name}" in text for text in TEXTS.values())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_command_is_named_that_is_not_there(text):
    assert set(re.findall(r"`medvis ([a-z]+)", text)) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("text", "line"),
    [(name, line) for name, text in TEXTS.items() for line in shell_lines(text) if re.search(r"(^| )medvis ", line)],
)
def test_every_command_line_that_is_shown_parses(text, line):
    """Its command is there, and takes these arguments and options."""
    calls = [shlex.split(call) for call in re.split(r"\|\|?|&&", line.partition(" #")[0])]
    calls = [list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)) for words in calls]
    calls = [words for words in calls if words[0] == "medvis"]
    group = typer.main.get_command(app)
    for _, name, *words in calls:
        group.get_command(None, name).make_context(name, words)
    assert calls


def test_no_line_of_a_page_is_too_long():
    assert [line for page in PAGES.values() for line in page.splitlines() if len(line) > 100] == []


def test_every_page_is_linked_with_its_heading():
    linked = re.findall(r"^\| \[(.*)\]\((.*)\) \| (.*) \|$", README, re.MULTILINE)
    headings = {name: page.partition("\n")[0].removeprefix("# ") for name, page in PAGES.items()}
    assert linked == [(name, f"medvis/help/{name}.md", heading) for name, heading in headings.items()]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_page_that_is_named_is_there(text):
    assert set(re.findall(r"`medvis help ([a-z-]+)`", text)) <= set(PAGES)


def test_ci_runs_two_commands_of_the_readme_as_written():
    marked = re.findall(r"<!-- ci -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert [block.strip() for block in marked] == ["medvis diagnose sample_data/lung1 -o out", "python -m pytest"]


def test_every_exit_code_is_explained():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes"], re.MULTILINE)}
    kinds = {kind.exit_code for kind in MedvisError.__subclasses__()}
    assert codes == kinds | {0, 1, FLAGGED, INTERRUPTED}


@pytest.mark.parametrize("task", [path.parent.name for path in sorted(BUNDLES.glob("*/card.yaml"))])
def test_the_figures_are_those_of_the_cards(task):
    """Whatever has a bar on a card stands in the README as it was measured, and says so where the bar is missed."""
    shown = re.search(r"<!-- figures -->\n(.*)<!-- /figures -->", README, re.DOTALL)[1]
    rows = re.findall(r"^\|(.*)\|$", shown, re.MULTILINE)
    start = next(index for index, row in enumerate(rows) if row.startswith(f" `{task}` |"))
    mine = [rows[start], *itertools.takewhile(lambda row: row.startswith(" |"), rows[start + 1 :])]
    wanted = [figure for figure in read_card(BUNDLES / task).figures if figure.bar]
    assert [tuple(cell.strip() for cell in row.split("|")[2:4]) for row in mine] == [
        _cells(figure) for figure in wanted
    ]


def _cells(figure):
    interval = "" if figure.ci95 is None else f" [{figure.ci95[0]:.3f}, {figure.ci95[1]:.3f}]"
    return f"{figure.value:.3f}{interval}", figure.bar + ("" if figure.reached else ", missed")


def test_relative_files_that_the_readme_names_exist():
    named = re.findall(r"`((?:configs|medvis|sample_data)/\S*|LICENSE)`", "\n".join(TEXTS.values()))
    named += re.findall(r"\]\((?!https?:)(\S+)\)", README)
    assert [name for name in named if not (ROOT / name).exists()] == []
