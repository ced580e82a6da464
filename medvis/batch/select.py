"""Which volumes of an input are diagnosed, where the results of each go, and what is left out, and why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.core.volumes import unique
from medvis.errors import InputError
from medvis.io.registry import endings

if TYPE_CHECKING:
    from medvis.batch.pipelines import Pipelines
    from medvis.core.volumes import Volume, Volumes

_LONGEST = 100
_LISTED = 6


@dataclass(frozen=True)
class LeftOut:
    """A volume that is not diagnosed.

    Attributes:
        label: of the volume.
        error: why; its `found` is one line that begins with the label.
    """

    label: str
    error: InputError


@dataclass(frozen=True)
class Selection:
    """What is done with the volumes of one input.

    Attributes:
        chosen: each with the folder of its results; None: none are written.
        left_out: what is not diagnosed.
    """

    chosen: tuple[tuple[Volume, Path | None], ...]
    left_out: tuple[LeftOut, ...]


def select(volumes: Volumes, pipelines: Pipelines, folder: Path | None, series: str | None = None) -> Selection:
    """The volumes that the task accepts; of several, each goes into a folder of its own below `folder`.

    Where there is but one to choose from, it is chosen: what is wrong with it is an error, not a choice.

    Args:
        volumes: of one input.
        pipelines: know the task.
        folder: for the results, or None.
        series: UID, number or label of the only series wanted, or None.

    Raises:
        InputError: there is no such series, or nothing fits.
    """
    picked = volumes.pick(series)
    usable = picked.usable()
    if len(picked) == 1 or len(usable) == 1:
        only = usable[0] if usable else picked[0]
        others = [LeftOut(volume.label, volume.unusable()) for volume in picked if volume is not only]
        return Selection(((only, folder),), tuple(others))
    selection = select_each(picked, pipelines, folder)
    if not selection.chosen:
        raise _nothing(picked, selection.left_out)
    if len(selection.chosen) == 1:
        ((volume, _),) = selection.chosen
        return Selection(((volume, folder),), selection.left_out)
    return selection


def select_each(volumes: Sequence[Volume], pipelines: Pipelines, folder: Path | None) -> Selection:
    """The volumes that the task accepts, be it none: each is asked, and has a folder of its own below `folder`."""
    refused = {volume.label: error for volume in volumes if (error := _misfit(volume, pipelines)) is not None}
    chosen = [volume for volume in volumes if volume.label not in refused]
    return Selection(
        tuple((volume, folder / volume.label if folder is not None else None) for volume in chosen),
        tuple(LeftOut(label, error) for label, error in refused.items()),
    )


def result_folders(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The folder for the results of each input: `folder` itself for one, else one below it named after the input.

    Names are made safe for any file system, and unique without regard to case.
    """
    if len(paths) == 1:
        return [folder]
    return [folder / name for name in unique([_safe_name(path) for path in paths])]


def _misfit(volume: Volume, pipelines: Pipelines) -> InputError | None:
    """Why the task does not take a volume, as far as that can be told without its pixels."""
    if volume.why_not is not None:
        return volume.unusable()
    try:
        if not volume.names_modality:
            pipelines.refuse_without_modality(volume.label)
        elif volume.sketch is not None:
            pipelines.of(volume.sketch).accept(volume.sketch)
    except InputError as error:
        return error
    return None


def _nothing(volumes: Volumes, left_out: Sequence[LeftOut]) -> InputError:
    path, errors = volumes.path, [item.error for item in left_out]
    if not any(volume.names_modality for volume in volumes.usable()) and len({error.wanted for error in errors}) == 1:
        return InputError(f"{path} holds {len(errors)} pictures or volumes without a modality", errors[0].wanted)
    reasons = [error.found for error in errors]
    more = f" | and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    return InputError(
        f"nothing in {path} can be diagnosed: {' | '.join(reasons[:_LISTED])}{more}", hint=f"see 'medvis info {path}'"
    )


def _safe_name(path: Path) -> str:
    named = path.resolve().name if path.name in ("", "..") else path.name
    name = _without_suffix(named)
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._")[:_LONGEST] or "case"


def _without_suffix(name: str) -> str:
    """A file's name without the suffix that is usual for a format that can be read, or for an archive."""
    suffix = next((ending for ending in (*endings(), ".zip") if name.lower().endswith(ending)), "")
    return name[: len(name) - len(suffix)]
