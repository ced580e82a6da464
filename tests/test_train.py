"""Training: seeded, resumable after a kill, and what it leaves behind."""

from __future__ import annotations

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

import numpy as np
from safetensors.torch import load_file
from tiny_data import write_data
from tiny_readers import reader_of
from tiny_task import RECIPE, Killed, write_task

from medvis.errors import InputError, ModelError, SettingsError
from medvis.learn.data.views import InputRange, ViewReader
from medvis.learn.run import train
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.schedule import epochs_of
from medvis.learn.training.train import Trainer, net_spec
from medvis.nets.weights import load_net
from medvis.settings import load_task


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def run(data, out, tmp, say=lambda _: None, **recipe):
    return train(load_task(str(write_task(tmp, **recipe))), data, out, say)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """(folder, records) of an uninterrupted training."""
    out, records = tmp_path_factory.mktemp("run"), []
    path = run(data, out, out, records.append)
    assert path == out / "model.safetensors"
    return out, records


def same(one, other):
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_epoch_is_told_and_written_down(trained):
    out, records = trained
    assert [(record["epoch"], record["of"], record["size"]) for record in records] == [(1, 2, 32), (2, 2, 64)]
    for record in records:
        assert {"loss", "dice", "bce", "deep", "classes", "evidence", "val_dice", "seconds", "eta_s"} <= set(record)
        assert np.isfinite(record["loss"]) and 0 <= record["val_dice"] <= 1
    assert [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()] == records
    assert records[0]["eta_s"] > 0 and records[-1]["eta_s"] == 0
    assert (out / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("*.part"))


def test_the_weights_are_those_of_the_average_and_tell_their_network(trained):
    out, _ = trained
    net = load_net(out / "model.safetensors")
    assert net.spec.widths == (16, 16, 16, 16, 16) and net.spec.classes == 2 and net.spec.streams == "detail"
    checkpoint = torch.load(out / "last.ckpt", weights_only=True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, checkpoint["average"][f"module.{name}"]), name
    assert any(not torch.equal(value, checkpoint["model"][name]) for name, value in net.state_dict().items())


def test_the_same_seed_gives_the_same_weights_and_another_others(trained, data, tmp_path):
    run(data, tmp_path / "again", tmp_path)
    assert same(trained[0], tmp_path / "again")
    run(data, tmp_path / "other", tmp_path, seed=4)
    assert not same(trained[0], tmp_path / "other")


@pytest.mark.parametrize("moment", ["after an epoch", "in the midst of one"])
def test_a_killed_training_goes_on_as_if_nothing_had_been(trained, data, tmp_path, monkeypatch, moment):
    def die(record):
        raise Killed

    out = tmp_path / "run"
    if moment == "after an epoch":
        with pytest.raises(Killed):
            run(data, out, tmp_path, die)
    else:
        whole, steps = torch.optim.AdamW.step, []

        def step(self, *arguments, **options):
            steps.append(self)
            if len(steps) == 5:
                raise Killed
            return whole(self, *arguments, **options)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(torch.optim.AdamW, "step", step)
            run(data, out, tmp_path)
    assert not (out / "model.safetensors").exists()
    torch.rand(7)  # whatever else has used the generator meanwhile
    records = []
    run(data, out, tmp_path, records.append)
    assert [record["epoch"] for record in records] == [2]
    assert same(trained[0], out)
    assert [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()] == [1, 2]


def test_a_finished_training_is_not_repeated(trained, data, tmp_path):
    out = shutil.copytree(trained[0], tmp_path / "run")
    (out / "model.safetensors").unlink()
    records = []
    run(data, out, tmp_path, records.append)
    assert records == [] and same(trained[0], out)


def test_a_damaged_checkpoint_is_one_line(trained, data, tmp_path):
    out = shutil.copytree(trained[0], tmp_path / "run")
    (out / "last.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match=r"last.ckpt is no checkpoint of this recipe; give another output folder"):
        run(data, out, tmp_path)


def test_training_learns(data, tmp_path):
    """On crops this few and this plain the loss must fall, with all the augmentation there is."""
    records = []
    run(data, tmp_path / "run", tmp_path, records.append, phases=[{"size": 32, "epochs": 12}], validate_every=12)
    losses = [record["loss"] for record in records]
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert "val_dice" not in records[0] and "val_dice" in records[-1]


def test_hard_negatives_and_an_absent_volume_are_taken_as_they_are(data, tmp_path):
    (data / "whole").mkdir(exist_ok=True)
    shutil.copy(data / "index.csv", data / "whole" / "index.csv")
    extra = {"hard_negatives": "whole/index.csv", "negative_volume": "absent", "hard_negative_share": 0.5}
    recipe = Recipe(**{**RECIPE, **extra})
    trainer = Trainer(recipe, reader_of("lung-nodule"), data, tmp_path / "run", lambda _: None)
    assert len(trainer.sampler.extra) == 12 and trainer.sampler.extra.region.any()
    plain = Trainer(
        Recipe(**{**RECIPE, "negative_volume": "absent"}), reader_of("lung-nodule"), data, tmp_path, lambda _: None
    )
    assert plain.sampler.extra is None


def test_the_learning_rate_warms_up_and_ends_at_a_hundredth():
    recipe = Recipe(**{**RECIPE, "phases": [{"size": 32, "epochs": 10}, {"size": 64, "epochs": 30}]})
    plan = epochs_of(recipe)
    assert [epoch.size for epoch in plan] == [32] * 10 + [64] * 30
    rates = np.array([plan[step // 4].rate_at(step / 4) for step in range(160)])
    assert 0 < rates[0] < recipe.rate / 100, "the warm-up takes the first two of forty epochs"
    assert rates.max() == pytest.approx(recipe.rate, rel=0.02)
    assert (np.diff(rates[:8]) > 0).all() and (np.diff(rates[8:]) < 0).all(), "one cosine over both phases"
    assert plan[-1].rate_at(40) == pytest.approx(recipe.rate / 100)


def test_a_phase_with_a_rate_starts_a_cosine_of_its_own_and_may_weigh_the_ratings():
    phases = [
        {"size": 32, "epochs": 4},
        {"size": 64, "epochs": 2},
        {"size": 64, "epochs": 4, "rate": 1e-4, "classes": 5},
    ]
    plan = epochs_of(Recipe(**{**RECIPE, "phases": phases}))
    assert [(epoch.first, epoch.length) for epoch in plan] == [(0, 6)] * 6 + [(6, 4)] * 4
    assert [epoch.classes for epoch in plan] == [1.0] * 6 + [5] * 4
    assert plan[6].rate_at(6.3) == pytest.approx(1e-4, rel=0.05) and plan[9].rate_at(10) == pytest.approx(1e-6)


def test_the_pretrained_trunk_learns_more_slowly(data, tmp_path):
    recipe = Recipe(**{**RECIPE, "network": {**RECIPE["network"], "streams": "dual"}})
    trainer = Trainer(recipe, reader_of("lung-nodule"), data, tmp_path, lambda _: None)
    trainer.run()
    rate, trunk_rate = (group["lr"] for group in trainer.optimiser.param_groups)
    assert rate > 0 and trunk_rate == pytest.approx(0.3 * rate)
    own = {id(p) for p in trainer.model.encoder.overview.parameters()}
    assert {id(p) for p in trainer.optimiser.param_groups[1]["params"]} == own
    assert sum(len(group["params"]) for group in trainer.optimiser.param_groups) == len(
        list(trainer.model.parameters())
    )


def test_the_average_follows_the_weights(data, tmp_path):
    trainer = Trainer(Recipe(**RECIPE), reader_of("lung-nodule"), data, tmp_path, lambda _: None)
    old = [p.clone() for p in trainer.average.module.parameters()]
    trainer.average.n_averaged.fill_(90)
    with torch.no_grad():
        for p in trainer.model.parameters():
            p.add_(1.0)
    trainer.average.update_parameters(trainer.model)  # (1 + 90) / (10 + 90) = 0.91 is kept
    for before, after in zip(old, trainer.average.module.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.09)
    assert all(not p.requires_grad for p in trainer.average.parameters())


def test_the_network_sees_its_range():
    hu = np.array([[[-2000.0, -1350.0, -150.0, 1050.0, 3000.0]]], np.float32)
    input_range = InputRange(-1350, 1050)
    view = input_range.view(hu)
    assert view.dtype == np.float32
    np.testing.assert_allclose(view[0, 0], [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(input_range.units(view)[0, 0], [-1350, -1350, -150, 1050, 1050])
    assert input_range.span == 2400 and input_range.fraction(-150) == 0.5 and input_range.fraction(3450) == 2


def test_windows_of_the_bank_are_fractions_of_the_range():
    spec = net_spec(Recipe(**{**RECIPE, "cuts": [[-1350, 150], [-160, 240], [-100, 1050]]}), InputRange(-1350, 1050))
    np.testing.assert_allclose(spec.cuts, [(0, 0.625), (0.49583, 0.6625), (0.52083, 1.0)], atol=1e-4)
    assert (spec.channels, spec.classes, spec.masks, spec.embedding) == (1, 2, 1, 16)


def test_the_range_is_that_of_the_window_stage():
    assert reader_of("lung-nodule").range == InputRange(-1350, 1050)
    assert reader_of("chest-tb").range == reader_of("ball-screw").range == InputRange(0, 255)
    assert ViewReader(load_task("lung-nodule", {"stages.window.preset": "lung"})).range == InputRange(-1350, 150)


def test_what_cannot_be_trained_is_one_line(data, tmp_path):
    with pytest.raises(SettingsError, match=r"task 'lung-nodule': train: field required, with labels, phases"):
        train(load_task("lung-nodule", {"train": {}}), data, tmp_path, print)
    with pytest.raises(InputError, match=r"has 12 training pictures; wanted: at least one batch of 32"):
        run(data, tmp_path / "run", tmp_path, batch=32)
    with pytest.raises(SettingsError, match=r"train.phases: list should have at least 1"):
        run(data, tmp_path / "run", tmp_path, phases=[])
    with pytest.raises(InputError, match=r"is no data set; wanted: index.csv"):
        run(tmp_path, tmp_path / "run", tmp_path)
