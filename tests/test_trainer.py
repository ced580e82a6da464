"""The trainer does not know its task: pictures, classes alone and tiles train, resume and end as lesions in CT do."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

import numpy as np
from safetensors.torch import load_file
from tiny_pictures import tile_recipe, whole_recipe, write_tiles, write_whole
from tiny_readers import reader_of
from tiny_task import Killed

from medvis.errors import ModelError, SettingsError
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.train import Trainer, device_of, heads_of
from medvis.nets.weights import load_net


def same(one, other):
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module", params=["pictures", "tiles"])
def other_kind(request, tmp_path_factory):
    """(data folder, recipe) of a task that is not about lesions in CT."""
    folder = tmp_path_factory.mktemp(request.param)
    everything = {
        "rotate": 1.0, "angle": 10, "mirror": 0.5, "shift": 0.05, "elastic": 0.3, "window": [8, 0.1], "gamma": 0.1,
        "noise": 4, "speckle": 0.05, "blur": 0.2, "motion": 0.1, "absent": 0.3, "paste": 0.5, "cutout": 0.2,
        "mixup": 0.3, "smoothing": 0.05,
    }  # fmt: skip
    if request.param == "pictures":
        return write_whole(folder), whole_recipe(augment=everything, balance=0.5)
    return write_tiles(folder), tile_recipe(augment=everything)


def trainer(data, recipe, out, say=lambda _: None):
    reader = reader_of("ball-screw" if recipe.get("channels") == 3 else "chest-tb")
    return Trainer(Recipe(**recipe), reader, data, out, say)


def test_pictures_and_tiles_train_and_resume_as_lesions_do(other_kind, tmp_path):
    data, recipe = other_kind
    recipe = {**recipe, "phases": [{"size": 32, "epochs": 1}, {"size": 64, "epochs": 1}]}
    records = []
    trainer(data, recipe, tmp_path / "one", records.append).run()
    assert all(np.isfinite(record["loss"]) and 0 <= record["val_score"] <= 1 for record in records)

    def die(_):
        raise Killed

    with pytest.raises(Killed):
        trainer(data, recipe, tmp_path / "two", die).run()
    trainer(data, {**recipe, "workers": 2}, tmp_path / "two").run()
    assert same(tmp_path / "one", tmp_path / "two"), "threads that make the crops change nothing"


def test_a_network_for_classes_alone_learns_them(tmp_path):
    data = write_whole(tmp_path / "data", 6, masks=False)
    recipe = whole_recipe(masks=False, phases=[{"size": 64, "epochs": 14}], validate_every=14, rate=4e-3)
    records = []
    trainer(data, recipe, tmp_path / "run", records.append).run()
    assert records[-1]["classes"] < 0.7 * records[0]["classes"] and records[-1]["val_auc"] > 0.9
    assert load_net(tmp_path / "run" / "model.safetensors").decoder is None


@pytest.mark.parametrize(("keep", "epoch"), [("best", 1), ("last", 3)])
def test_the_best_or_the_last_epoch_is_kept(tmp_path, keep, epoch):
    data = write_whole(tmp_path / "data", 2)
    made = trainer(data, whole_recipe(keep=keep, phases=[{"size": 32, "epochs": 3}]), tmp_path / "run")
    scores, seen = iter([0.9, 0.5, 0.7]), []

    def figures(_):
        seen.append({name: value.clone() for name, value in made.average.module.state_dict().items()})
        return {"val_score": next(scores)}

    made.figures = figures
    kept = load_file(made.run())
    assert all(torch.equal(kept[name], value) for name, value in seen[epoch - 1].items())
    assert any(not torch.equal(kept[name], value) for name, value in seen[2 - epoch // 2].items())


def test_the_time_to_go_minds_the_size_of_the_crops(tmp_path):
    data = write_whole(tmp_path / "data", 2)
    made = trainer(data, whole_recipe(phases=[{"size": 32, "epochs": 2}, {"size": 64, "epochs": 1}]), tmp_path / "run")
    made.epoch = 1
    assert made.seconds_left(10.0, 0) == pytest.approx(50), (
        "one epoch more of that size, and one of four times the area"
    )


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"train.device is cuda, but torch finds no GPU; wanted: auto or cpu"):
        device_of(Recipe(**whole_recipe(device="cuda")))
    assert device_of(Recipe(**whole_recipe(device="auto"))).type == "cpu"


def test_a_loss_that_is_no_number_ends_the_training(tmp_path, monkeypatch):
    data = write_whole(tmp_path / "data", 2)
    made = trainer(data, whole_recipe(), tmp_path / "run")
    with torch.no_grad():
        made.model.classify.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"the loss of epoch 1 is no number; lower train.rate"):
        made.run()


def test_classes_that_exclude_each_other_are_found_in_the_recipe():
    heads = heads_of(Recipe(**whole_recipe()))
    assert (heads.exclusive, heads.normal) == ((0, 1), 1)
    assert heads_of(Recipe(**tile_recipe())).exclusive == ()
