"""A model card for a person: what it is for, what it is not for, how well it does, what it was made from."""

from __future__ import annotations

from collections.abc import Sequence

from medvis.core.card import Card, Figure


def card_rows(card: Card) -> list[tuple[str, str]]:
    """The card as (name, text); a name is not repeated from line to line. `--json` has every detail."""
    model = card.model
    labels = [
        label.name if label.kind == "binary" else f"{label.name} {label.low:g}-{label.high:g}" for label in card.labels
    ]
    return [
        ("task", card.task),
        ("version", card.version),
        ("summary", card.summary),
        ("intended use", card.intended_use),
        *_list("not for", card.not_for),
        *_list("known failures", card.known_failures),
        *_list("figures", [figure_text(figure) for figure in card.figures]),
        *_list("measured by", card.measured_by.splitlines()),
        *_list(
            "data", [f"{item.name}, {item.licence}, used for {item.used_for}; {item.citation}" for item in card.data]
        ),
        ("model", f"{model.file}, {model.bytes / 1e6:.1f} MB {model.precision}, SHA-256 {model.sha256}"),
        ("input", f"{card.input.channels} channel(s), {card.input.unit}, crops of {card.input.crop} px"),
        ("labels", ", ".join(labels)),
        ("masks", ", ".join(card.masks)),
        ("thresholds", ", ".join(f"{name} {value:.3g}" for name, value in card.thresholds.items()) or "none"),
    ]


def figure_text(figure: Figure) -> str:
    """One figure with its interval, number, bar and baseline."""
    parts = [f"{figure.name} {figure.value:.3g}"]
    if figure.ci95 is not None:
        parts.append(f"[{figure.ci95[0]:.3g}, {figure.ci95[1]:.3g}]")
    beside = [
        f"n={figure.n}" if figure.n is not None else "",
        f"bar {figure.bar}" if figure.bar else "",
        figure.baseline or "",
    ]
    told = "; ".join(part for part in beside if part)
    return " ".join(parts) + (f" ({told})" if told else "")


def _list(name: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(name if number == 0 else "", text) for number, text in enumerate(texts or ("none",))]
