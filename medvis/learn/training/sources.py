"""The data of a recipe: where its crops come from, and what it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools
from medvis.errors import InputError
from medvis.learn.data.ct_pictures import CtPictures, joined, load_ct_pictures, load_labelled_scan, load_volume
from medvis.learn.data.datasets import read_rows
from medvis.learn.data.index import Row, read_index
from medvis.learn.data.label_names import NOTHING, UNKNOWN, ClassNames, is_unknown, normalised
from medvis.learn.data.masks import empty_masks
from medvis.learn.data.pictures import Pictures, load_pictures
from medvis.learn.data.scans import scans_of
from medvis.learn.data.views import ViewReader
from medvis.learn.training.lesions import LesionSampler
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Sampler
from medvis.learn.training.tiles import TileSampler
from medvis.learn.training.validation import LesionValidator, PictureValidator, TileValidator, Validator
from medvis.learn.training.whole import PictureSampler

Tell = Callable[[str], None]


def sources(recipe: Recipe, reader: ViewReader, data: Path, tell: Tell | None = None) -> tuple[Sampler, Validator]:
    """The sampler of the train split, and the figures on (a fixed part of) the val split.

    Args:
        recipe: which rows, and how many.
        reader: shows the pictures as inference does.
        data: folder of the data set.
        tell: is told in words what is strange about the data, and no error.

    Raises:
        InputError: the data cannot be read, do not say what the recipe learns, or are fewer than a batch.
    """
    train = split_rows(recipe, data, "train", tell)
    kept = _drawn(split_rows(recipe, data, "val", tell), recipe)
    if len(train) * recipe.repeat < recipe.batch:
        raise InputError(f"{data} has {len(train)} training pictures", f"at least one batch of {recipe.batch}")
    if recipe.sampler == "lesions":
        lesions, validation = (_lesions(rows, recipe, reader) for rows in (train, kept))
        _tell_empty([*lesions.rows, *validation.rows], _named(lesions) + _named(validation), recipe, tell)
        sampler = LesionSampler(lesions, recipe, reader.range, _extra(recipe, reader, data))
        return sampler, LesionValidator(validation, recipe)
    pictures, rest = (load_pictures(rows, reader, recipe.channels, recipe.readers) for rows in (train, kept))
    _tell_empty([*pictures.rows, *rest.rows], [*pictures.masks, *rest.masks], recipe, tell)
    kind = TileSampler if recipe.sampler == "tiles" else PictureSampler
    return kind(pictures, recipe, reader.range), _of_pictures(rest, recipe)


def validator(recipe: Recipe, reader: ViewReader, data: Path) -> Validator:
    """The figures on the val split alone, as `sources` gives them. Raises InputError likewise."""
    rows = _drawn(split_rows(recipe, data, "val", None), recipe)
    if recipe.sampler == "lesions":
        return LesionValidator(_lesions(rows, recipe, reader), recipe)
    return _of_pictures(load_pictures(rows, reader, recipe.channels, recipe.readers), recipe)


def _of_pictures(pictures: Pictures, recipe: Recipe) -> Validator:
    return TileValidator(pictures) if recipe.sampler == "tiles" else PictureValidator(pictures, recipe)


def _lesions(rows: list[Row], recipe: Recipe, reader: ViewReader) -> CtPictures:
    return load_ct_pictures(rows, recipe.readers, reader.config.picture, reader.depth_mm).shown(reader)


def split_rows(recipe: Recipe, data: Path, split: str, tell: Tell | None) -> list[Row]:
    """The rows of a split that the recipe can use; raises as `sources`."""
    read = read_index if recipe.sampler == "lesions" else read_rows
    return usable(read(data, split), recipe, f"split {split} of {data}", tell)


def _drawn(rows: list[Row], recipe: Recipe) -> list[Row]:
    """Those of val that a training is measured on, by a seeded draw."""
    drawn = np.random.default_rng(recipe.seed).permutation(len(rows))[: recipe.validate_on]
    return [rows[index] for index in sorted(drawn)]


def usable(rows: list[Row], recipe: Recipe, source: str, tell: Tell | None = None) -> list[Row]:
    """The rows that a recipe can learn from; see `labelled`.

    Pictures with regions of which nobody knows what they are (COCO's crowds) are left out.

    Raises:
        InputError: a label that the recipe does not know, no column of values for one, or no mask where the label says
            that there is something to outline.
    """
    clear = [row for row in rows if not row.unsure]
    if len(clear) < len(rows) and tell is not None:
        tell(f"{source}: {len(rows) - len(clear)} pictures with crowds are left out")
    kept = labelled(clear, recipe, source)
    for label in recipe.labels:
        if label.column is not None and label.kind != "class":
            _require_values(kept, label.column, source)
    normal = {normalised(label.name) for label in recipe.labels if label.normal} | NOTHING
    bare = [row for row in kept if not row.outlined and normalised(row.label) not in normal]
    if recipe.masks and bare:
        found = f"{source}: {len(bare)} pictures have a label and no mask, the first is {bare[0].image.name}"
        raise InputError(found, "a mask, since train.masks is true; 'unlabelled' where nobody has outlined it")
    return kept


def _require_values(rows: list[Row], column: str, source: str) -> None:
    """Refuses a column that is not there, or without a single value: its label would never be learned."""
    if rows and not any(column in row.fields for row in rows):
        raise InputError(f"{source} has no column '{column}'", "each column that train.labels names")
    if rows and all(row.number(column) is None for row in rows):
        raise InputError(f"{source} has no value in the column '{column}'", "numbers")


def _named(pictures: CtPictures) -> list[Bools | None]:
    masks = [np.asarray(mask > 0) for mask in pictures.mask]
    return [None if row.mask is None else mask for row, mask in zip(pictures.rows, masks, strict=True)]


def _tell_empty(rows: Sequence[Row], masks: Sequence[Bools | None], recipe: Recipe, tell: Tell | None) -> None:
    normal = {normalised(label.name) for label in recipe.labels if label.normal}
    text = empty_masks([(row.label, mask) for row, mask in zip(rows, masks, strict=True)], NOTHING | UNKNOWN | normal)
    if text is not None and tell is not None:
        tell(text)


def labelled(rows: list[Row], recipe: Recipe, source: str) -> list[Row]:
    """The rows that somebody has labelled or outlined: nobody having looked does not make a picture a negative.

    Labels come as the recipe names its classes.

    Raises:
        InputError: a label is none of the recipe's classes.
    """
    rows = [row for row in rows if row.outlined or not is_unknown(row.label)]
    classes = ClassNames.of(recipe.labels)
    if not classes:
        return rows
    classes.require([row.label for row in rows], source)
    indices = [classes.index(row.label) for row in rows]
    return [
        replace(row, label="" if index is None else classes.names[index])
        for row, index in zip(rows, indices, strict=True)
    ]


def _extra(recipe: Recipe, reader: ViewReader, data: Path) -> CtPictures | None:
    """Whole slices, a volume and scans to take hard negatives from; what is absent is left out."""
    extra = []
    if recipe.hard_negatives:
        extra.append(load_ct_pictures(read_index(data, "train", recipe.hard_negatives), 1, reader.config.picture))
    if recipe.negative_volume and (data / recipe.negative_volume).is_dir():
        extra.append(load_volume(data / recipe.negative_volume))
    if recipe.negative_scans and (data / recipe.negative_scans).is_dir():
        extra += [load_labelled_scan(scan) for scan in scans_of(data / recipe.negative_scans, "train")]
    return joined([part.shown(reader) for part in extra]) if extra else None
