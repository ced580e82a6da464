"""The option --fail-on: which reports end the program with the exit code `medvis.errors.FLAGGED`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from medvis.cli.options import listed
from medvis.errors import FLAGGED, UsageError

if TYPE_CHECKING:
    from medvis.core.report import Report

_VERDICTS = ("positive", "negative", "refer")
_FINDING = "finding"
_WANTED = f"some of {', '.join(_VERDICTS)}, {_FINDING}:PROBABILITY, e.g. {_FINDING}:0.8"

FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on", metavar="LIST",
        help=f"Exit with code {FLAGGED} for these verdicts: positive, negative, refer; {_FINDING}:0.8 for a finding of"
        " that probability or more. With commas, or repeated. A case that failed wins: codes 1 to 8.",
    ),
]  # fmt: skip


class Flags(NamedTuple):
    """What a report is flagged for.

    Attributes:
        verdicts: decisions.
        probability: of a finding, 0…1, from which on it counts; None: no finding counts.
    """

    verdicts: tuple[str, ...] = ()
    probability: float | None = None

    def meet(self, report: Report) -> bool:
        """Whether the report is flagged: by its decision, or by any of its findings."""
        least = self.probability
        likely = least is not None and any(finding.probability >= least for finding in report.findings)
        return likely or report.verdict.decision in self.verdicts


def flags_of(lists: Sequence[str] | None) -> Flags:
    """What ``--fail-on`` names; of several probabilities the least counts.

    Raises:
        UsageError: an entry is neither a verdict nor ``finding:P`` with P from 0 to 1, or there is none.
    """
    entries = listed(lists or ())
    if lists and not entries:
        raise UsageError(f"--fail-on {','.join(lists)!r}", _WANTED)
    probabilities = [_probability(entry) for entry in entries if entry not in _VERDICTS]
    verdicts = tuple(entry for entry in entries if entry in _VERDICTS)
    return Flags(verdicts, min(probabilities, default=None))


def _probability(entry: str) -> float:
    name, colon, text = entry.partition(":")
    with suppress(ValueError):
        if name == _FINDING and colon and 0 <= float(text) <= 1:
            return float(text)
    raise UsageError(f"--fail-on {entry}", _WANTED)
