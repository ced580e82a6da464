"""What a training tells, on stderr: what it is about to do, and a line an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medvis.learn.training.durations import duration

if TYPE_CHECKING:
    from rich.console import Console

CONFIG_HELP = "The task to train: its name, or the path of its YAML ('medvis help tasks')."
DATA_HELP = "The data set: index.csv with images/ and masks/, COCO, or folders as MVTec has them ('medvis help train')."
RUN_HELP = (
    "For checkpoints, metrics.jsonl and weights (model.safetensors). A training that was stopped there goes on when "
    "the same command is given again."
)
# Of a record of an epoch, what stands elsewhere in its line.
_ELSEWHERE = ("variant", "epoch", "of", "size", "seconds", "eta_s", "precision", "loss")


def explainer(screen: Console) -> Callable[[str, str], None]:
    """What prints (topic, text) as one line on `screen`."""
    show = record_printer(screen)
    return lambda topic, text: show({"about": topic, "text": text})


def record_printer(screen: Console) -> Callable[[dict[str, Any]], None]:
    """What prints a record of a training as one line on `screen`: an epoch, a note, or a variant's figures."""
    return lambda record: screen.print(line_of(record), soft_wrap=True)


def line_of(record: dict[str, Any]) -> str:
    """One record in words: ``epoch 3 of 57, 64 px: loss 0.51 (dice 0.3); on val dice 0.7; 41 s, about 1 h left``."""
    if "about" in record:
        return f"{record['about']:<8} {record['text']}"
    head = f"variant {record['variant']}, " if "variant" in record else ""
    if "note" in record:
        return f"{head}note: {record['note']}"
    rest = {name: value for name, value in record.items() if name not in _ELSEWHERE}
    if "epoch" not in record:
        return f"{head[:-2]}: {_figures(rest)}"
    parts = {name: value for name, value in rest.items() if not name.startswith("val_")}
    on_val = {name.removeprefix("val_"): value for name, value in rest.items() if name.startswith("val_")}
    of = f" of {record['of']}" if "of" in record else ""
    size = f", {record['size']} px" if "size" in record else ""
    loss = f"loss {_number(record['loss'])}" + (f" ({_figures(parts)})" if parts else "")
    val = f"; on val {_figures(on_val)}" if on_val else ""
    return f"{head}epoch {record['epoch']}{of}{size}: {loss}{val}{_time(record)}"


def _time(record: dict[str, Any]) -> str:
    spent = f"; {duration(record['seconds'])}" if "seconds" in record else ""
    return spent + (f", about {duration(record['eta_s'])} left" if record.get("eta_s") else "")


def _figures(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items())


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
