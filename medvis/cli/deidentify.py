"""`medvis deidentify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import emit, emit_json, waiting
from medvis.cli.failures import explain, print_error
from medvis.cli.options import Json, Quiet, listed
from medvis.errors import BatchError, InputError, UsageError

if TYPE_CHECKING:
    from medvis.dicom.deidentify.run import DeidentificationResult, Written

_PROFILE = (
    "basic, and what of it is loosened: modified-dates, patient-characteristics, uids; separated by commas. "
    "May be repeated.  [default: basic]"
)


def deidentify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, or folders with some in them.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the new files go; absent or empty.")
    ],
    profile: Annotated[list[str] | None, typer.Option(metavar="LIST", help=_PROFILE)] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A secret, so that a later run gives the same new UIDs and patients."),
    ] = None,
    black_out_text: Annotated[
        bool, typer.Option("--black-out-text", help="Paint over what looks like text in the pictures. Look at them!")
    ] = False,
    accept_burned_in: Annotated[
        bool, typer.Option("--accept-burned-in", help="Let pictures pass that may show text; you have looked at them.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prints the files. The Basic Application Confidentiality Profile of DICOM PS3.15, dates removed.

    New UIDs and patients are the same for the same old ones all over a run, so that references hold. Text in a picture
    is found by its shape, which misses some: nothing but your eyes can tell that a picture shows no name.
    """
    from medvis.dicom.deidentify.clean import Cleaner
    from medvis.dicom.deidentify.profile import Profile
    from medvis.dicom.deidentify.pseudonyms import Secret
    from medvis.dicom.deidentify.run import Deidentifier, Orders

    if black_out_text and accept_burned_in:
        raise UsageError("--black-out-text beside --accept-burned-in", "one of them")
    secret = Secret() if key_file is None else Secret.from_file(key_file)
    cleaner = Cleaner(secret, Profile.of(listed(profile or ["basic"])))
    job = Deidentifier(cleaner, Orders(black_out_text, accept_burned_in))
    with waiting("de-identifying", quiet=quiet) as tick:
        result = job.run(paths, output, lambda done, total: tick("", done, total))
    _show(result, json, quiet)
    _settle(result)


def _show(result: DeidentificationResult, json: bool, quiet: bool) -> None:
    if json:
        emit_json({"files": [_facts(file) for file in result.written]}, indent=2)
    else:
        emit("".join(f"{file.path}\n" for file in result.written))
    for file in result.written:
        if file.text and not quiet and not json:
            boxes = ", ".join(f"rows {box.row0}-{box.row1} columns {box.col0}-{box.col1}" for box in file.text)
            done = "blacked out" if file.blacked_out else "what looks like text is still there"
            print_error(f"{file.path}: {done}: {boxes}")
    if result.left_out and not quiet:
        print_error(f"{len(result.left_out)} file(s) that are no DICOM objects were left out")


def _facts(file: Written) -> dict[str, Any]:
    return {
        "file": str(file.path),
        "text_regions": [box._asdict() for box in file.text],
        "blacked_out": file.blacked_out,
    }


def _settle(result: DeidentificationResult) -> None:
    """Ends with the code of the failures if nothing was written, else as a batch with failures."""
    if not result.failed and not result.written:
        raise InputError("no DICOM object was found", "DICOM files, or folders with some in them")
    if len(result.failed) == 1 and not result.written:
        raise result.failed[0][1]
    codes = {explain(error) for _, error in result.failed}
    if codes and not result.written and len(codes) == 1:
        raise typer.Exit(codes.pop())
    if result.failed:
        raise BatchError(f"{len(result.failed)} of {len(result.failed) + len(result.written)} files were left out")
