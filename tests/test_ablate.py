"""The ablation: which variants there are, what each changes, and that a finished one is not done again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from tiny_bundle import tiny_card, tiny_net
from tiny_task import RECIPE, write_task

from medvis.errors import InputError, ModelError, SettingsError
from medvis.learn import ablate as module
from medvis.learn.ablate import FULL, Plan, ablate, add_ablation, table, variants
from medvis.learn.bundling.card_file import write_card
from medvis.learn.measuring.evaluation import Evaluation, FigureMaker
from medvis.learn.training.recipe import Recipe
from medvis.model.bundle import read_card
from medvis.model.card import Ablated, Ablation, Card, Figure
from medvis.nets.unetpp import UNetPlusPlus
from medvis.nets.weights import save_net
from medvis.settings import Measured, load_task, validated


def recipe(**changes):
    return validated(Recipe, {**RECIPE, **changes}, "train")


def names(**changes):
    return [variant.name for variant in variants(recipe(**changes))]


def test_every_part_that_there_is_gets_a_variant():
    dual = {**RECIPE["network"], "streams": "dual"}
    everything = ["full", "detail stream only", "no attention", "U-Net decoder", "no target pasting", "no TTA"]
    assert names(network=dual) == everything
    assert names(network=dual, augment={"paste": 0.0})[4:] == ["no TTA"]
    assert names(network={**dual, "attention": False, "nested": False}) == [
        everything[0],
        everything[1],
        *everything[4:],
    ]
    assert "detail stream only" not in names()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A task, and the three long steps replaced by notes of what they were asked."""
    done = []

    def train(config, data, out, say):
        done.append(("train", out.parent.name, config.train))
        say({"epoch": 1})
        out.mkdir(parents=True)
        save_net(tiny_net(streams="detail"), out / "model.safetensors")
        return out / "model.safetensors"

    def make_bundle(task, weights, data, folder, say, packing):
        done.append(("bundle", folder.parent.name, weights.parent.parent.name))
        assert not packing.smallest

    def evaluate(task, data, split, say):
        config = load_task(task)
        assert config.bundle == "bundle" and split == "val"
        done.append(("evaluate", config.stages["infer"]["scales"], config.stages["infer"]["flips"]))
        scores = np.array([0.1, 0.4, 0.6, 0.9]) - (0.1 if config.stages["infer"]["flips"] == ["none"] else 0)
        judge = FigureMaker(Measured(bars={"dice": 0.7}))
        figures = [*judge.mean("dice", "Dice", scores, list("abcd")), Figure(name="Recall", value=0.25)]
        return Evaluation("tiny", "1", "data val", figures)

    for step in (train, make_bundle, evaluate):
        monkeypatch.setattr(module, step.__name__, step)
    return write_task(tmp_path, phases=[{"size": 32, "epochs": 3}, {"size": 64, "epochs": 9}]), done


def plan(task, tmp_path, **changes):
    return Plan(
        **{"task": str(task), "data": tmp_path / "data", "split": "val", "epochs": 4, "settings": {}, **changes}
    )


def test_variants_differ_in_what_their_names_say(home, tmp_path):
    task, done = home
    told = []
    found = ablate(plan(task, tmp_path), tmp_path / "out", told.append)
    assert [one.variant for one in found.variants] == [
        "full",
        "no attention",
        "U-Net decoder",
        "no target pasting",
        "no TTA",
    ]
    trained = {folder: settings for step, folder, settings in done if step == "train"}
    assert set(trained) == {"full", "no-attention", "u-net-decoder", "no-target-pasting"}
    assert [phase["epochs"] for phase in trained["full"]["phases"]] == [1, 3], "the same budget, shared out alike"
    for folder, key, value in (("no-attention", "attention", False), ("u-net-decoder", "nested", False)):
        assert trained[folder] == {**trained["full"], "network": {**trained["full"]["network"], key: value}}
    assert trained["no-target-pasting"]["augment"]["paste"] == 0
    bundles = {folder: weights for step, folder, weights in done if step == "bundle"}
    assert bundles["no-tta"] == "full", "the full model, looked through once"
    views = [(scales, flips) for step, scales, flips in done if step == "evaluate"]
    assert views[-1] == ({1.0: 1.0}, ["none"]) and len(views[0][0]) > 1
    assert told[0] == {"variant": "full", "epoch": 1} and told[-1]["variant"] == "no TTA"
    summary = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))
    assert [one["variant"] for one in summary["variants"]] == [one.variant for one in found.variants]
    assert summary["epochs"] == 4 and summary["data"] == "data val" and str(tmp_path) not in summary["data"]
    assert found.variants[0].differences == [] and "draws" not in json.dumps(summary)
    # Each case is worse by 0.1: the difference is certain, though each Dice is anything but.
    (apart,) = found.variants[-1].differences
    assert apart.name == "Dice" and (apart.value, *apart.ci95) == pytest.approx((-0.1, -0.1, -0.1), abs=1e-6)
    low, high = found.variants[-1].figures[0].ci95
    assert high - low > 0.4
    row = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8").splitlines()[-1]
    assert row == "| no TTA | 0.400 (-0.100 [-0.100, -0.100]) |"


def test_what_is_finished_is_not_done_again(home, tmp_path):
    task, done = home
    first = ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None)
    (tmp_path / "out" / "no-attention" / "result.json").unlink()
    (tmp_path / "out" / "no-attention" / "run" / "model.safetensors").unlink()
    (tmp_path / "out" / "no-attention" / "run").rmdir()
    done.clear()
    assert ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None) == first
    assert [step for step, *_ in done] == ["train", "bundle", "evaluate"] and done[0][1] == "no-attention"


def test_results_of_other_settings_do_not_stand_beside_these(home, tmp_path):
    task, _ = home
    ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None)
    for changed in ({"epochs": 5}, {"settings": {"train.seed": 9}}):
        with pytest.raises(SettingsError, match=r"result\.json was measured with other settings or epochs"):
            ablate(plan(task, tmp_path, **changed), tmp_path / "out", lambda _: None)


def test_other_words_on_the_card_are_no_other_settings(home, tmp_path):
    task, done = home
    first = ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None)
    done.clear()
    task.write_text(task.read_text(encoding="utf-8").replace("summary: ", "summary: now "), encoding="utf-8")
    assert load_task(str(task)).card["summary"].startswith("now ")
    assert ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None) == first
    assert done == []


def test_a_broken_result_is_one_line(home, tmp_path):
    task, _ = home
    ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None)
    (tmp_path / "out" / FULL.folder / "result.json").write_text("[", encoding="utf-8")
    with pytest.raises(InputError, match=r"is no result of an ablation: .*; remove it"):
        ablate(plan(task, tmp_path), tmp_path / "out", lambda _: None)


def test_too_few_epochs_are_one_line(home, tmp_path):
    with pytest.raises(SettingsError, match="1 epochs for 2 phases; wanted: one a phase at least"):
        ablate(plan(home[0], tmp_path, epochs=1), tmp_path / "out", lambda _: None)


def test_the_table_shows_the_figures_that_have_a_bar():
    dice = Figure(name="Dice", value=0.5, ci95=(0.4, 0.6), bar="≥ 0.7")
    found = [
        Ablated(variant="full", figures=[dice, Figure(name="Recall", value=0.25)]),
        Ablated(variant="no attention", figures=[]),
    ]
    lines = table(Ablation(data="data val", epochs=4, settings={"train.seed": 9}, variants=found)).splitlines()
    assert lines[2:] == ["| variant | Dice |", "|---|---|", "| full | 0.500 [0.400, 0.600] |", "| no attention | – |"]
    assert "4 epochs, train.seed 9, one seed" in lines[0] and "data val" in lines[0]
    without = [Ablated(variant="full", figures=[Figure(name="Recall", value=0.25)])]
    told = table(Ablation(data="data val", variants=without))
    assert "| full | 0.250 |" in told and "the recipe's epochs" in told


def test_the_card_holds_the_last_ablation(tmp_path):
    write_card(tmp_path, Card.model_validate(tiny_card()))
    for variant in ("old", "new"):
        row = Ablated(variant=variant, parameters=9, figures=[Figure(name="Dice", value=0.5)])
        add_ablation(tmp_path, Ablation(data="data val", epochs=4, variants=[row]))
    found = read_card(tmp_path).ablation
    assert [one.variant for one in found.variants] == ["new"] and found.epochs == 4


def test_the_variants_are_tasks_that_a_user_can_run(home, tmp_path):
    ablate(plan(home[0], tmp_path), tmp_path / "out", lambda _: None)
    path = tmp_path / "out" / "no-tta" / "task.yaml"
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["task"] == "tiny"
    assert load_task(str(path)).stages["measure"] == load_task(str(home[0])).stages["measure"]


def test_a_plain_unet_says_that_it_cannot_be_pruned():
    maps = [torch.zeros(1, 16, 64 // stride, 64 // stride) for stride in (1, 2, 4, 8, 16)]
    plain = UNetPlusPlus((16,) * 5, 1, nested=False)
    assert plain(maps)[0][0].shape == (1, 1, 64, 64)
    with pytest.raises(ModelError, match="a plain U-Net cannot be pruned to depth 2; wanted: depth 3, or nested: true"):
        plain(maps, depth=2)
    assert UNetPlusPlus((16,) * 5, 1)(maps, depth=2)[0][0].shape == (1, 1, 64, 64)


def test_other_data_of_one_name_are_other_data(home, tmp_path):
    task, done = home
    for place, text in (("a", "one"), ("b", "one"), ("c", "other")):
        (tmp_path / place / "data").mkdir(parents=True)
        (tmp_path / place / "data" / "index.csv").write_text(text, encoding="utf-8")
    first = ablate(plan(task, tmp_path, data=tmp_path / "a" / "data"), tmp_path / "out", lambda _: None)
    done.clear()
    (tmp_path / "b" / "data" / ".DS_Store").write_text("of a file manager", encoding="utf-8")
    assert ablate(plan(task, tmp_path, data=tmp_path / "b" / "data"), tmp_path / "out", lambda _: None) == first
    assert done == [], "the same data elsewhere"
    with pytest.raises(SettingsError, match=r"result\.json was measured with other data; give another output folder"):
        ablate(plan(task, tmp_path, data=tmp_path / "c" / "data"), tmp_path / "out", lambda _: None)


def test_an_ablation_keeps_its_folder_to_itself(home, tmp_path):
    told = []

    def again(record):
        if not told:
            told.append(record)
            with pytest.raises(SettingsError, match="another ablation is at work in"):
                ablate(plan(home[0], tmp_path), tmp_path / "out", lambda _: None)

    ablate(plan(home[0], tmp_path), tmp_path / "out", again)
    assert told
