"""Turns an exception into one line on stderr and an exit code, for all commands."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer

from medvis.errors import INTERRUPTED, MedvisError, StageError, UsageError

BROKEN_PIPE = 141  # 128 + SIGPIPE, as the shell reports for a program that the signal has ended
_USAGE: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, which typer does not name in public

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose exceptions end the program with one line and the right code; typer's own pass."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = function(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except (typer.Exit, typer.Abort, _USAGE):
            raise
        except KeyboardInterrupt:
            print_error("interrupted")
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise SystemExit(BROKEN_PIPE) from None
        except Exception as error:
            raise SystemExit(explain(error)) from None
        return result

    return run


def in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, typer's wrong use raised as a UsageError; help that it shows instead is shown."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except typer.Abort:
            raise KeyboardInterrupt from None
        except _USAGE as error:
            context = getattr(error, "ctx", None)
            message = error.format_message()  # type: ignore[attr-defined]
            if context is not None and message == context.get_help():
                error.show()  # type: ignore[attr-defined]
                raise SystemExit(UsageError.exit_code) from None
            path = context.command_path if context is not None else "medvis"
            raise UsageError(message.rstrip("."), hint=f"{path} -h") from None

    return run


def explain(error: Exception, about: str | None = None) -> int:
    """Says in one line on stderr what went wrong (`about`: the case), and returns the exit code."""
    if os.environ.get("MEDVIS_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        error = StageError("there is not enough memory", hint="try a smaller series, or fewer frames at once")
    if isinstance(error, MedvisError):
        named = error.line if about is None or about in error.line else f"{about}: {error.line}"
        print_error(f"error: {named}")
        return error.exit_code
    prefix = f"{about}: " if about else ""
    print_error(
        f"bug: {prefix}{type(error).__name__}: {error} ({_raised_at(error)}), please report; "
        "set MEDVIS_TRACEBACK=1 for the traceback"
    )
    return 1


def print_error(text: str) -> None:
    """One line on stderr; what a terminal would obey (a file's name may hold anything) is shown as �."""
    line = " ".join(text.split())
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"medvis: {printable(line)}\n")
            sys.stderr.flush()


def printable(text: str) -> str:
    """`text` with control characters replaced."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _raised_at(error: Exception) -> str:
    """File and line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no traceback"


def _forget_stdout() -> None:
    """Nobody reads any more: the interpreter's last flush must not complain."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
