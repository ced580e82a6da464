"""The data of a recipe: where its crops come from, and what it is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvis.errors import InputError
from medvis.learn.data.datasets import UNKNOWN
from medvis.learn.data.index import GreyScans, Row, joined, load_grey_scans, load_volume, read_index
from medvis.learn.data.pictures import load_pictures
from medvis.learn.training.lesions import LesionSampler
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Range, Sampler
from medvis.learn.training.tiles import TileSampler
from medvis.learn.training.validation import LesionValidator, PictureValidator, TileValidator, Validator
from medvis.learn.training.whole import PictureSampler


def sources(recipe: Recipe, reach: Range, data: Path) -> tuple[Sampler, Validator]:
    """The sampler of the train split, and the figures on (a fixed part of) the val split.

    Raises:
        InputError: the data cannot be read, or are fewer than a batch.
    """
    train, val = labelled(read_index(data, "train")), labelled(read_index(data, "val"))
    if len(train) * recipe.repeat < recipe.batch:
        raise InputError(f"{data} has {len(train)} training pictures", f"at least one batch of {recipe.batch}")
    keep = np.random.default_rng(recipe.seed).permutation(len(val))[: recipe.validate_on]
    held = [val[index] for index in sorted(keep)]
    if recipe.sampler == "lesions":
        sampler = LesionSampler(load_grey_scans(train, recipe.readers), recipe, reach, _extra(recipe, data))
        return sampler, LesionValidator(load_grey_scans(held, recipe.readers), recipe, reach)
    pictures, rest = load_pictures(train, recipe.channels), load_pictures(held, recipe.channels)
    if recipe.sampler == "tiles":
        return TileSampler(pictures, recipe, reach), TileValidator(rest, reach)
    return PictureSampler(pictures, recipe, reach), PictureValidator(rest, recipe, reach)


def labelled(rows: list[Row]) -> list[Row]:
    """The rows that somebody has labelled or outlined: nobody having looked does not make a picture a negative."""
    return [row for row in rows if row.mask is not None or row.label.casefold() not in UNKNOWN]


def _extra(recipe: Recipe, data: Path) -> GreyScans | None:
    """Whole slices and a volume to take hard negatives from; what is absent is left out."""
    extra = []
    if recipe.hard_negatives:
        extra.append(load_grey_scans(read_index(data, "train", recipe.hard_negatives), 1))
    if recipe.negative_volume and (data / recipe.negative_volume).is_dir():
        extra.append(load_volume(data / recipe.negative_volume))
    return joined(extra) if extra else None
