"""Labelled pictures of any layout: classes, outlines and lesions, whatever the task says and the data know."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from medvis.errors import InputError
from medvis.learn.data.datasets import read_examples
from medvis.learn.measuring.class_sides import Told, tell
from medvis.learn.measuring.crops import Say
from medvis.learn.measuring.evaluate_classes import class_facts, class_figures, class_plots
from medvis.learn.measuring.evaluate_masks import froc_facts, lesion_figures, mask_plots, overlap_figures
from medvis.learn.measuring.evaluate_verdicts import verdict_figures
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, Judge
from medvis.learn.measuring.predictions import Looked, look, shipped_threshold, swept
from medvis.model.card import Card, Worst
from medvis.pipeline import Pipeline


def evaluate_pictures(pipeline: Pipeline, data: Path, split: str, say: Say) -> Evaluation:
    """All figures of a split.

    Args:
        pipeline: as shipped.
        data: a folder of a layout that `read_examples` knows.
        split: of it.
        say: progress (done, total).

    Raises:
        InputError: the data are of no known layout, or hold nothing that this task can be judged by.
    """
    config, card = pipeline.config, pipeline.context.card
    examples, unlabelled = read_examples(data, split, int(config.train.get("readers", 1)))
    outlines = "segment" in config.stages and bool(card.masks)
    looked = list(look(pipeline, swept(pipeline) if outlines else None, examples, say))
    judge, threshold = Judge(config.evaluate), shipped_threshold(pipeline)
    told, lesions = tell(looked, card), config.kind == "tiled"
    classes = [*class_figures(judge, told), *verdict_figures(judge, told)] if told else []
    figures = [*classes, *overlap_figures(judge, looked)]
    figures += lesion_figures(judge, looked, threshold) if lesions else []
    if not figures:
        raise InputError(f"{data} holds nothing to judge task '{config.task}' by", _wanted(card))
    facts = _facts(looked, told, unlabelled)
    if lesions:
        facts["recall of lesions at false findings a picture"] = froc_facts(looked, threshold)
    plots = {**(class_plots(judge, told) if told else {}), **(mask_plots(judge, looked, threshold) if outlines else {})}
    worst = _worst(looked)
    gallery = {f"worst-{place}.png": _drawn(pipeline, one) for place, one in enumerate(worst, 1)}
    return Evaluation(
        config.task, card.version, f"{data.name} {split}", figures, facts,
        [_told(one) for one in worst], {**plots, **gallery},
    )  # fmt: skip


def _wanted(card: Card) -> str:
    names = ", ".join(label.name for label in card.labels)
    return f"labels among {names}" + (", or masks" if card.masks else "")


def _facts(looked: list[Looked], told: Told | None, unlabelled: int) -> dict[str, Any]:
    outlined = [one.outlined for one in looked if one.outlined]
    return {
        "pictures": len(looked),
        "groups": len({one.example.group for one in looked}),
        "unlabelled, left out": unlabelled,
        "of a class that the model knows": 0 if told is None else len(told.truth),
        "outlined": len(outlined),
        "lesions": sum(len(one.lesions) for one in outlined),
        "verdicts": dict(sorted(Counter(one.verdict or "none" for one in looked).items())),
        **({} if told is None else {"confusion": class_facts(told)}),
    }


def _worst(looked: list[Looked]) -> list[Looked]:
    """Where the true class was least likely; with outlines, where the overlap was smallest and the lesion largest."""
    return sorted((one for one in looked if _score(one) is not None), key=_rank)[:WORST]


def _rank(one: Looked) -> tuple[float, int, str]:
    area = max(one.outlined.truth, one.outlined.found) if one.outlined else 0
    return _score(one) or 0.0, -area, one.example.id


def _score(one: Looked) -> float | None:
    """Dice where there is a reference, else the probability of the true class."""
    if one.outlined is not None:
        return one.outlined.dice
    chances = {name.casefold(): chance for name, chance in (one.chances or {}).items()}
    return chances.get(one.example.label.casefold())


def _told(one: Looked) -> Worst:
    said = max(one.chances.items(), key=lambda pair: pair[1]) if one.chances else None
    parts = [f"true {one.example.label}"] if one.example.label else []
    parts += [f"said {said[0]} {said[1]:.2f}"] if said else []
    if one.outlined is not None:
        parts.append(f"{one.outlined.truth} px marked, {one.outlined.found} px outlined, Dice {one.outlined.dice:.2f}")
    return Worst(id=one.example.id, score=round(_score(one) or 0.0, 4), description=", ".join(parts))


def _drawn(pipeline: Pipeline, one: Looked) -> Draw:
    return partial(_draw, pipeline, one)


def _draw(pipeline: Pipeline, one: Looked, path: Path) -> None:
    from medvis.learn.measuring.gallery import draw_example  # noqa: PLC0415 - matplotlib, only where something is drawn

    draw_example(pipeline, one.example, _told(one).description, path)
