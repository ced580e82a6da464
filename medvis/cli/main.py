"""The entry point `medvis`. Imports typer and nothing heavier: a command's module is imported when it is asked for."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from medvis import __version__
from medvis.cli.failures import guarded, in_one_line

# Name → (module, help). The help stands here so that `medvis --help` need not import the modules.
COMMANDS = {
    "diagnose": ("diagnose", "Read scans, find lesions, write a report, a heatmap and a mask for each."),
    "help": ("help", "Show the manual: what is read, what is written, how to train, and more."),
    "info": ("info", "Show what a file or a series is, without looking for anything in it."),
    "tasks": ("tasks", "List the tasks and the model cards behind them."),
    "card": ("card", "Show a task's model card: what it is for, how well it does, where it fails."),
    "window": ("stages", "First stage of a chain: a scan, shown to the model in its window."),
    "enhance": ("stages", "Stage of a chain: contrast and noise, as the task wants them."),
    "infer": ("stages", "Stage of a chain: what the model says, pixel by pixel."),
    "segment": ("stages", "Stage of a chain: from probabilities to outlined findings."),
    "report": ("report", "Last stage of a chain: measure, judge, explain, and write the results."),
    "listen": ("listen", "Receive studies over DICOM, diagnose them, send the results (needs medvis[pacs])."),
    "pull": ("pull", "Find and fetch studies of a PACS, by DICOMweb or DIMSE (needs medvis[pacs])."),
    "push": ("push", "Send DICOM files to a PACS, by DICOMweb or DIMSE (needs medvis[pacs])."),
    "schema": ("schema", "Print the JSON Schema of report.json."),
    "deidentify": ("deidentify", "Write DICOM files without the patient's identity (needs medvis[deid])."),
    "phantom": ("phantom", "Make a CT phantom with nodules of known size, as a DICOM series."),
    "init": ("init", "Begin a task of your own: its YAML and a folder for its data."),
    "train": ("train", "Train a task's model from its YAML (needs medvis[train])."),
    "distil": ("distil", "Train a smaller model from a larger one (needs medvis[train])."),
    "ablate": ("ablate", "Measure what each part of a task's model is worth (needs medvis[train])."),
    "evaluate": ("evaluate", "Measure a task's model on labelled data, with confidence intervals."),
    "export": ("export", "Make a bundle, model.onnx and card.yaml, from trained weights (needs medvis[train])."),
}


class LazyGroup(TyperGroup):
    """The group of commands; one is imported when it is run, completed or asked for its own help."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**attributes)
        self._made: dict[str, Any] = {}
        self.commands.update(dict.fromkeys(COMMANDS))  # type: ignore[arg-type]

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: ANN401 - typer's command is not public
        """The command of that name, or None."""
        del ctx
        if cmd_name in COMMANDS and cmd_name not in self._made:
            self._made[cmd_name] = guarded(_command)(cmd_name)  # an interrupt may come while modules are imported
        return self._made.get(cmd_name)

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ANN401 - typer's formatter is not public
        """The list of commands in the help, from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _command(name: str) -> Any:  # noqa: ANN401 - typer's command is not public
    from medvis.io.private import sweep_temporary

    sweep_temporary()
    module, text = COMMANDS[name]
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = getattr(import_module(f"medvis.cli.{module}"), name)
    more = inspect.getdoc(function) or ""
    single.command(name, help=f"{text}\n\n{more}", context_settings=_HELP)(guarded(function))
    command = typer.main.get_command(single)
    for parameter in command.params:  # an argument is named by its metavar; Python's types say nothing to a user
        if parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: ""  # type: ignore[attr-defined]
            parameter.get_usage_pieces = partial(_usage_pieces, parameter)  # type: ignore[method-assign]
    return command


def _usage_pieces(parameter: Any, ctx: object) -> list[str]:  # noqa: ANN401 - typer's parameter is not public
    """An argument in the usage line: in brackets where it may be left out, with dots where it may be repeated."""
    del ctx
    name = parameter.metavar or parameter.name.upper()
    return [(name if parameter.required else f"[{name}]") + ("..." if parameter.nargs != 1 else "")]


_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None, context_settings=_HELP)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medvis {__version__}")
        raise typer.Exit


@app.callback()
def medvis(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Medical and industrial image diagnostics: a scan in, calibrated findings out, offline, on a plain CPU.

    The manual is in the program: 'medvis help' lists its pages.

    Research use only. Not a medical device.
    """
    del version


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with the code of `medvis.errors`."""
    if not sys.warnoptions and not os.environ.get("MEDVIS_TRACEBACK"):
        warnings.simplefilter("ignore")  # a library's warning is for developers; medvis has its own notes for users
    run = guarded(in_one_line(typer.main.get_command(app).main))
    sys.exit(run(arguments, prog_name="medvis", standalone_mode=False))
