"""Every error that medvis raises on purpose, and the exit code that each one stands for.

    MedvisError            1   (never raised itself; an exception outside this tree is a bug, exit 1)
    ├── UsageError         2   flags that contradict each other
    ├── InputError         3   a path that is absent, empty, corrupt, not an image, or not for this task
    ├── SettingsError      4   a configuration that is wrong or incomplete
    ├── ModelError         5   a bundle that is absent, altered or does not fit its card
    ├── StageError         6   a stage that could not do its work on a valid input
    ├── OutputError        7   a result that could not be written
    └── BatchError         8   a batch that finished, with failures in it

Findings never change the exit code unless `--fail-on` asks for it: then it is 9. An interrupt is 130.
"""

from __future__ import annotations

FLAGGED = 9
INTERRUPTED = 130


class MedvisError(Exception):
    """Base of all deliberate errors: one line for the user, made of up to three parts.

    Args:
        found: what was found, e.g. ``"scan.dcm is empty (0 bytes)"``.
        wanted: what would have been right, e.g. ``"a DICOM, NIfTI or raster image"``.
        hint: what to do, e.g. ``"see 'medvis info PATH'"``.
    """

    exit_code = 1

    def __init__(self, found: str, wanted: str | None = None, hint: str | None = None) -> None:
        self.found, self.wanted, self.hint = found, wanted, hint
        super().__init__(self.line)

    @property
    def line(self) -> str:
        """The whole message in one line."""
        parts = [self.found]
        if self.wanted:
            parts.append(f"wanted: {self.wanted}")
        if self.hint:
            parts.append(self.hint)
        return " ".join("; ".join(parts).split())


class UsageError(MedvisError):
    """Flags or arguments that contradict each other."""

    exit_code = 2


class InputError(MedvisError):
    """An input that is absent, empty, corrupt, not an image, or not for this task."""

    exit_code = 3


class SettingsError(MedvisError):
    """A configuration that is wrong or incomplete."""

    exit_code = 4


class ModelError(MedvisError):
    """A bundle that is absent, altered, or does not fit its card."""

    exit_code = 5


class StageError(MedvisError):
    """A stage that could not do its work on a valid input."""

    exit_code = 6


class OutputError(MedvisError):
    """A result that could not be written."""

    exit_code = 7


class BatchError(MedvisError):
    """A batch that finished, with failures in it."""

    exit_code = 8
