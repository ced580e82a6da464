"""Figures on val after an epoch: right answers score 1, wrong ones 0, and the pictures' own grid counts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="validation needs the extra 'train'")

import numpy as np
from tiny_pictures import tile_recipe, whole_recipe, write_tiles, write_whole
from tiny_readers import reader_of

from medvis.errors import InputError
from medvis.learn.data.index import read_index
from medvis.learn.data.pictures import load_pictures
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sources import labelled, sources
from medvis.learn.training.validation import PictureValidator, TileValidator
from medvis.nets.model import Output


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("tiles"))


def eye(views, sign=1.0, blind=False):
    """Sees what is brighter (or, with sign −1, darker) than the rest; says so in masks and in the first class."""
    grey = views.mean(1, keepdim=True)
    masks = torch.full_like(grey, -9.0) if blind else sign * (grey - (0.5 if sign > 0 else 0.3)) * 40
    there = (masks > 0).flatten(1).sum(1) > 30
    classes = torch.stack([there * 4.0 - 2, 2 - there * 4.0], 1)
    return Output(classes, masks, torch.zeros(len(views), 2, 8, 8), torch.zeros(len(views), 4), [])


def picture_validator(folder, **changes):
    pictures = load_pictures(read_index(folder, "val"), reader_of("chest-tb"), 1)
    return PictureValidator(pictures, Recipe(**whole_recipe(**changes)))


def test_who_sees_everything_scores_one(whole):
    figures = picture_validator(whole)(eye)
    assert figures["val_accuracy"] == figures["val_macro_f1"] == figures["val_auc"] == 1
    assert figures["val_dice"] > 0.85, "the outline goes through a smaller square and back"
    assert figures["val_score"] == pytest.approx(np.mean([1, 1, 1, figures["val_dice"]]), abs=1e-3)


def test_who_sees_nothing_is_as_good_as_chance(whole):
    figures = picture_validator(whole)(lambda views: eye(views, blind=True))
    assert figures["val_dice"] == 0 and figures["val_auc"] == 0.5 and figures["val_accuracy"] == 0.5


def test_a_larger_square_measures_on_the_same_grid(whole):
    small, big = (picture_validator(whole, phases=[{"size": size, "epochs": 1}])(eye)["val_dice"] for size in (64, 160))
    assert big > small and big > 0.93


def test_without_masks_or_classes_there_is_no_figure_of_them(whole):
    assert set(picture_validator(whole, masks=False)(eye)) == {"val_accuracy", "val_macro_f1", "val_auc", "val_score"}
    alone = picture_validator(whole, labels=[{"name": "disc"}])(eye)
    assert set(alone) == {"val_dice", "val_score"}


def tile_validator(folder):
    rows = labelled(read_index(folder, "val"), Recipe(**tile_recipe()), "val")
    return TileValidator(load_pictures(rows, reader_of("ball-screw"), 3))


def test_whole_large_pictures_are_judged_by_pixels_and_by_targets(large):
    found = tile_validator(large)(lambda views: eye(views, sign=-1))
    assert found["val_dice"] > 0.95 and found["val_recall"] == 1 and found["val_extra"] == 0
    missed = tile_validator(large)(lambda views: eye(views, blind=True))
    assert missed["val_dice"] == missed["val_recall"] == missed["val_score"] == missed["val_extra"] == 0


def test_false_targets_are_counted_apart(large):
    def two_more(views):
        given = eye(views, sign=-1)
        given.mask_logits[..., :3, :3] = 9
        given.mask_logits[..., 90:93, 170:173] = 9
        return given

    assert tile_validator(large)(two_more)["val_extra"] == 2


def test_what_nobody_labelled_is_left_out(large):
    assert (
        len(labelled(read_index(large, "train"), Recipe(**tile_recipe()), "train")) == 12
        and len(read_index(large, "train")) == 15
    )
    sampler, _ = sources(Recipe(**tile_recipe()), reader_of("ball-screw"), large)
    assert len(sampler) == 24 and all(view.mean() > 0.2 for view in sampler.pictures.views)


def test_too_few_pictures_are_one_line(whole):
    with pytest.raises(InputError, match=r"has 24 training pictures; wanted: at least one batch of 64"):
        sources(Recipe(**whole_recipe(batch=64)), reader_of("chest-tb"), whole)


def test_val_is_a_fixed_part(whole):
    _, some = sources(Recipe(**whole_recipe(validate_on=3)), reader_of("chest-tb"), whole)
    _, again = sources(Recipe(**whole_recipe(validate_on=3)), reader_of("chest-tb"), whole)
    assert len(some.pictures) == 3 and [r.id for r in some.pictures.rows] == [r.id for r in again.pictures.rows]
