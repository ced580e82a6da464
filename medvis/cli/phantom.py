"""`medvis phantom`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.console import emit, waiting
from medvis.cli.options import Force, Quiet
from medvis.errors import OutputError

if TYPE_CHECKING:
    from medvis.phantom.volume import PhantomSpec


def phantom(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the phantom goes.")],
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of vessels, texture and noise.")] = 0,
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Number of slices.")] = 24,
    compress: Annotated[bool, typer.Option("--compress", help="Lossless JPEG 2000 instead of plain pixels.")] = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Prints the files: series/*.dcm, the true mask.nii.gz and truth.json. The same seed gives the same files."""
    from medvis.phantom.volume import PhantomSpec

    _check(output, force)
    spec = PhantomSpec(frames=frames, seed=seed)
    try:
        paths = _make(spec, output, compress, quiet)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
    emit("".join(f"{path}\n" for path in paths))


def _check(folder: Path, force: bool) -> None:
    from medvis.io.atomic import check_target
    from medvis.phantom.series import MASK, SERIES, TRUTH

    check_target(folder, (MASK, TRUTH), force)
    if (folder / SERIES).exists() and not force:
        raise OutputError(
            f"{folder / SERIES} exists already", hint="give --force to replace, or another folder with -o"
        )


def _make(spec: PhantomSpec, folder: Path, compress: bool, quiet: bool) -> list[Path]:
    """Everything is made in a hidden folder beside, then moved into place: an interrupt leaves nothing half-made."""
    from medvis.phantom.series import write_phantom

    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    private = Path(tempfile.mkdtemp(prefix=".medvis-", dir=folder))
    try:
        with waiting("making the phantom", spec.frames, quiet) as tick:
            tick()
            made = [path.relative_to(private) for path in write_phantom(spec, private, compress, tick)]
        for name in dict.fromkeys(path.parts[0] for path in made):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            (private / name).replace(folder / name)
    except BaseException:
        shutil.rmtree(folder if fresh else private, ignore_errors=True)
        raise
    private.rmdir()
    return [folder / path for path in made]
