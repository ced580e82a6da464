"""A model card for a person: what it is for, what it is not for, how well it does, what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvis.errors import ModelError
from medvis.model.contract import text_of

if TYPE_CHECKING:
    from medvis.core.labels import Label
    from medvis.model.card import Ablated, Ablation, Card, Difference, Figure, Worst
    from medvis.model.contract import InputContract
    from medvis.settings import TaskConfig


def card_of(config: TaskConfig) -> Card:
    """The card of a task's model. Raises ModelError if there is none."""
    from medvis.model.bundle import bundle_folder, read_card

    if config.bundle is None:
        raise ModelError(f"task '{config.task}' names no bundle")
    return read_card(bundle_folder(config.bundle, config.base))


def card_rows(card: Card) -> list[tuple[str, str]]:
    """The card as (name, text); a name is not repeated from line to line. `--json` has every detail."""
    model = card.model
    figures = [figure_text(figure) for figure in card.figures]
    data = [f"{item.name}, {item.licence}, used for {item.used_for}; {item.citation}" for item in card.data]
    return [
        ("task", card.task),
        ("version", card.version),
        ("summary", card.summary),
        ("intended use", card.intended_use),
        *_list("not for", card.not_for),
        *_list("data", data),
        *_list("figures", figures),
        *_list("worst cases", [_worst(case) for case in card.worst], optional=True),
        *_list("ablation", _ablation(card.ablation), optional=True),
        *_list("known failures", card.known_failures),
        *_list("measure again", card.measured_by.splitlines()),
        ("model", f"{model.file}, {model.bytes / 1e6:.1f} MB {model.precision}, SHA-256 {model.sha256}"),
        *_list("input", _input(card.input)),
        ("labels", ", ".join(_label(label) for label in card.labels) or "none"),
        ("masks", ", ".join(card.masks) or "none"),
        ("thresholds", ", ".join(f"{name} {value:.3g}" for name, value in card.thresholds.items()) or "none"),
        *_fitted(card),
    ]


def _input(contract: InputContract) -> list[str]:
    """What the model has learned to look at: images that are shown otherwise are refused."""
    size = f"{contract.channels} channel(s), {contract.colour}, {contract.unit}, crops of {contract.crop} px"
    learned = {"window": contract.window, "enhancement": contract.enhancement, "views": contract.views}
    return [size, *(f"{name}: {text_of(part)}" for name, part in learned.items())]


def _label(label: Label) -> str:
    return f"{label.name} {label.low:g}-{label.high:g}" if label.kind == "rating" else label.name


def _worst(case: Worst) -> str:
    where = f"{case.data}, {case.id}" if case.data else case.id
    return f"{where} ({case.score:.2f}): {case.description}" + (f" - {case.seen}" if case.seen else "")


def _ablation(ablation: Ablation | None) -> list[str]:
    if ablation is None:
        return []
    how = f"each variant trained alike ({ablation.how}), measured on {ablation.data}"
    head = f"{how}; in brackets how far it is from the first"
    return [head, *(_variant(variant) for variant in ablation.variants)]


def _variant(variant: Ablated) -> str:
    """Of the figures that have a bar: those of the first variant, and how far the others are from it."""
    shown = [figure for figure in variant.figures if figure.bar is not None] or variant.figures
    apart = {item.name: item for item in variant.differences}
    return f"{variant.variant}: {', '.join(_beside(figure, apart.get(figure.name)) for figure in shown)}"


def _beside(figure: Figure, apart: Difference | None) -> str:
    if apart is None:
        return f"{figure.name} {figure.value:.3g}"
    interval = "" if apart.ci95 is None else f" [{apart.ci95[0]:+.2g}, {apart.ci95[1]:+.2g}]"
    return f"{figure.name} {figure.value:.3g} ({apart.value:+.2g}{interval})"


def _fitted(card: Card) -> list[tuple[str, str]]:
    temperature = card.calibration.get("temperature")
    return [] if temperature is None else [("temperature", f"{temperature:.3g}, fitted on val")]


def matrix_rows(matrix: dict[str, dict[str, int]]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of a confusion matrix: true class → said class → count."""
    columns = list(dict.fromkeys(name for row in matrix.values() for name in row))
    return ["true \\ said", *columns], [
        [name, *(str(row.get(column, 0)) for column in columns)] for name, row in matrix.items()
    ]


def figure_text(figure: Figure) -> str:
    """One figure with its interval, number, bar and baseline."""
    parts = [f"{figure.name} {figure.value:.3g}"]
    if figure.ci95 is not None:
        parts.append(f"[{figure.ci95[0]:.3g}, {figure.ci95[1]:.3g}]")
    beside = [
        figure.data or "",
        f"n={figure.n}" if figure.n is not None else "",
        f"bar {figure.bar} {'reached' if figure.reached else 'missed'}" if figure.bar else "",
        figure.baseline or "",
    ]
    details = "; ".join(part for part in beside if part)
    return " ".join(parts) + (f" ({details})" if details else "")


def _list(name: str, texts: Sequence[str], optional: bool = False) -> list[tuple[str, str]]:
    """One row a text, the name in the first of them; without any, "none" – or no row at all, if `optional`."""
    shown = texts or (() if optional else ("none",))
    return [(name if number == 0 else "", text) for number, text in enumerate(shown)]
