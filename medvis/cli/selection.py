"""Which volumes of an input are diagnosed, where the results of each go, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.errors import InputError

if TYPE_CHECKING:
    from medvis.cli.cases import Pipelines
    from medvis.core.outcome import Outcome
    from medvis.core.volumes import Volume, Volumes

_LISTED = 6


@dataclass(frozen=True)
class Selection:
    """What is done with the volumes of one input.

    Attributes:
        chosen: each with the folder of its results; None: none are written.
        left_out: one line each on what is not diagnosed, and why.
    """

    chosen: tuple[tuple[Volume, Path | None], ...]
    left_out: tuple[str, ...]


def select(found: Volumes, pipelines: Pipelines, folder: Path | None, series: str | None) -> Selection:
    """The volumes that the task accepts; of several, each goes into a folder of its own below `folder`.

    Args:
        found: the volumes of one input.
        pipelines: know the task.
        folder: for the results, or None.
        series: UID, number or label of the only series wanted, or None.

    Raises:
        InputError: there is no such series, or nothing fits.
    """
    picked = found.pick(series)
    usable = picked.usable()
    if len(picked) == 1 or len(usable) == 1:  # what is wrong with the only one is an error, not a choice
        only = usable[0] if usable else picked[0]
        others = [_reason(volume) for volume in picked if volume is not only]
        return Selection(((only, folder),), tuple(others))
    refused = {volume.label: reason for volume in picked if (reason := _unfit(volume, pipelines)) is not None}
    fitting = [volume for volume in picked if volume.label not in refused]
    if not fitting:
        raise _nothing(found.path, list(refused.values()))
    below = folder is not None and len(fitting) > 1
    chosen = tuple((volume, folder / volume.label if folder and below else folder) for volume in fitting)
    return Selection(chosen, tuple(refused.values()))


def named_as_given(outcome: Outcome, found: Volumes) -> Outcome:
    """The outcome with a report that names the input as the user gave it, also where it lies unpacked elsewhere."""
    from dataclasses import replace

    scan = outcome.report.scan
    named = scan.model_copy(update={"path": found.public(scan.path)})
    return replace(outcome, report=outcome.report.model_copy(update={"scan": named}))


def _unfit(volume: Volume, pipelines: Pipelines) -> str | None:
    """Why the task does not take a volume, as far as that can be told without its pixels."""
    if volume.why_not is not None or volume.sketch is None:
        return None if volume.why_not is None else _reason(volume)
    try:
        pipelines.of(volume.sketch).accept(volume.sketch)
    except InputError as error:
        return error.found
    return None


def _reason(volume: Volume) -> str:
    return f"{volume.label}: {volume.why_not}"


def _nothing(path: str, reasons: list[str]) -> InputError:
    more = f" | and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    return InputError(
        f"nothing in {path} can be diagnosed: {' | '.join(reasons[:_LISTED])}{more}", hint=f"see 'medvis info {path}'"
    )
