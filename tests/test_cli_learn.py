"""`medvis train`, `distil`, `export` and `ablate` as they are typed; what they do is tested where it is done."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="training needs the extra 'train'")

from tiny_bundle import tiny_card, tiny_net
from tiny_data import write_data
from tiny_task import write_task

from medvis.learn import ablate as ablation
from medvis.learn import run as learning
from medvis.learn.bundling.card_file import write_card
from medvis.learn.measuring.evaluation import Evaluation
from medvis.model.bundle import read_card
from medvis.model.card import Card, Figure
from medvis.nets.weights import load_net, save_net

ONE_EPOCH = [{"size": 32, "epochs": 1}]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_train_prints_the_weights_and_tells_of_each_epoch(medvis, data, tmp_path):
    task = write_task(tmp_path, phases=ONE_EPOCH)
    ran = medvis("train", task, "--data", data, "-o", "run", "--set", "train.batch=6")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.decode() == f"{Path('run/model.safetensors')}\n"
    said = ran.stderr.splitlines()
    assert [line.split()[0] for line in said] == [
        *["data"] * 3,
        "network",
        "epochs",
        "device",
        "folder",
        "time",
        "epoch",
    ]
    assert said[0].split(None, 1)[1].startswith("train: ") and "a new training" in said[-3]
    assert re.match(r"epoch 1 of 1, 32 px: loss \d.*; on val dice 0\.\d+, score 0\.\d+; \d+ s$", said[-1]), said[-1]
    finished = medvis("train", task, "--data", data, "-o", "run", "--set", "train.batch=6")
    assert "run holds the finished training, all 1 epochs; nothing is left to do" in finished.stderr
    again = medvis("train", task, "--data", data, "-o", "run", "--set", "train.batch=6", "--quiet")
    assert (again.code, again.stdout, again.stderr) == (0, ran.stdout, ""), "it is finished, and says nothing"


def test_distil_prints_the_weights_of_a_smaller_network(medvis, data, tmp_path):
    save_net(tiny_net(streams="detail", widths=(32, 32, 32, 32, 32), embedding=32, cuts=[]), tmp_path / "teacher")
    wide = {"widths": [32, 32, 32, 32, 32], "embedding": 32, "streams": "detail", "drop": 0.0}
    task = write_task(tmp_path, network=wide, phases=ONE_EPOCH)
    ran = medvis("distil", tmp_path / "teacher", task, "--data", data, "-o", "run", "--share", "1")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.decode() == f"{Path('run/model.safetensors')}\n"
    assert "epoch 1" in ran.stderr and "parameters, student" in ran.stderr
    assert max(load_net(Path("run/model.safetensors")).spec.widths) < 32
    assert "0 < share" in medvis("distil", "t", task, "--data", data, "-o", "x", "--share", "0").error(4)


def test_export_shows_the_card(medvis, monkeypatch):
    asked = []

    def export(task, weights, data, out, progress, packing):
        progress(1, 2)
        asked.append((task, str(weights), str(data), str(out), packing.keep_weights))
        return {"task": "tiny", "version": "1", "labels": [{"name": "nodule"}]}

    monkeypatch.setattr(learning, "export", export)
    command = ["export", "w.safetensors", "--task", "tiny", "--data", "set", "-o", "bundle"]
    assert medvis(*command).stdout.decode().splitlines() == ["task\ttiny", "version\t1", "labels.1.name\tnodule"]
    assert medvis(*command, "--keep-weights", "--json").json["labels"] == [{"name": "nodule"}]
    assert asked == [("tiny", "w.safetensors", "set", "bundle", keep) for keep in (False, True)]


@pytest.fixture
def quick(monkeypatch):
    """The long steps of an ablation, done at once."""

    def train(config, data, out, say):
        say({"epoch": 1, "loss": 0.123456})
        out.mkdir(parents=True)
        save_net(tiny_net(streams="detail"), out / "model.safetensors")
        return out / "model.safetensors"

    def evaluate(task, data, split, say):
        return Evaluation("tiny", "1", f"set {split}", [Figure(name="Dice", value=0.5, bar="≥ 0.4")])

    monkeypatch.setattr(ablation, "train", train)
    monkeypatch.setattr(ablation, "make_bundle", lambda *arguments: None)
    monkeypatch.setattr(ablation, "evaluate", evaluate)


def test_ablate_prints_the_table_and_puts_it_on_the_card(medvis, quick, tmp_path):
    task = write_task(tmp_path, phases=ONE_EPOCH)
    body = yaml.safe_load(task.read_text(encoding="utf-8"))
    task.write_text(yaml.safe_dump({**body, "bundle": str(tmp_path / "bundle")}), encoding="utf-8")
    (tmp_path / "bundle").mkdir()
    write_card(tmp_path / "bundle", Card.model_validate(tiny_card()))
    command = ["ablate", task, "--data", tmp_path / "set", "-o", "runs", "--split", "val", "--epochs", "2"]
    ran = medvis(*command, "--update-card")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.decode() == Path("runs/ablation.md").read_text(encoding="utf-8")
    assert "variant full" in ran.stderr and "loss 0.1235" in ran.stderr
    on_card = read_card(tmp_path / "bundle").ablation
    assert on_card is not None and on_card.data == "set val"
    again = medvis(*command, "--json", "--quiet")
    assert again.stderr == "" and again.json == json.loads(on_card.model_dump_json()), "nothing is done twice"


def test_plots_of_two_evaluations_do_not_mix(medvis, tmp_path):
    (tmp_path / "froc.png").write_bytes(b"of another one")
    ran = medvis("evaluate", "--task", "steel", "--data", tmp_path, "--plots", tmp_path)
    assert ran.code == 7 and "holds plots already; wanted: an empty or new folder" in ran.stderr
