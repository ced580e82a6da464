"""`medvis help`: the manual. Its pages are the Markdown files in `medvis/help`; a page's heading describes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit, is_terminal
from medvis.cli.tables import show_rows
from medvis.errors import UsageError

PAGES = Path(__file__).parent.parent / "help"
WIDTH = 100  # columns; longer lines are hard to read


def topics() -> list[str]:
    """Names of the pages, sorted."""
    return sorted(page.stem for page in PAGES.glob("*.md"))


def _complete_topic(incomplete: str) -> list[str]:
    return [topic for topic in topics() if topic.startswith(incomplete)]


def help(
    topic: Annotated[
        str | None, typer.Argument(metavar="TOPIC", autocompletion=_complete_topic, help="The page to show.")
    ] = None,
) -> None:
    """Without TOPIC: all topics, one line each. The options of a command: medvis COMMAND --help."""
    if topic is None:
        show_rows((), [(name, _title(name)) for name in topics()])
    elif topic in topics():
        _show(_page(topic))
    else:
        raise UsageError(f"unknown topic '{topic}'", f"one of {', '.join(topics())}", _hint(topic))


def _page(topic: str) -> str:
    return (PAGES / f"{topic}.md").read_text(encoding="utf-8")


def _title(topic: str) -> str:
    return _page(topic).partition("\n")[0].removeprefix("# ")


def _hint(topic: str) -> str | None:
    from medvis.cli.main import COMMANDS

    return f"see 'medvis {topic} --help'" if topic in COMMANDS else None


def _show(page: str) -> None:
    """Formatted on a terminal with colour, else as it is written."""
    if not is_terminal("stdout") or os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        emit(page)
        return
    from rich.markdown import Markdown

    screen = console(stdout=True)
    screen.print(Markdown(page, code_theme="ansi_dark", hyperlinks=False), width=min(WIDTH, screen.width))
