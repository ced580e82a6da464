"""The card for a person and for a script, and what an evaluation writes on it."""

from __future__ import annotations

import pytest
import yaml
from tiny_bundle import pipeline_of, tiny_card
from tiny_data import write_data
from tiny_sets import write_index
from tiny_whole import BREAST, OUTLINED, Tones, write_whole

from medvis.cli.cards import card_rows, matrix_rows
from medvis.learn.bundling.card_file import add_figures, write_card
from medvis.learn.measuring.evaluation import Evaluation
from medvis.model.bundle import bundle_folder, read_card
from medvis.model.card import Ablation, Card, Figure, Worst
from medvis.settings import load_task
from medvis.tasks import task_names

FULL = {
    "figures": [{"name": "Dice", "value": 0.8, "ci95": [0.7, 0.9], "n": 9, "bar": "≥ 0.7", "baseline": "disc 0.5"}],
    "worst": [
        {"id": "a-1", "score": 0.1, "description": "missed", "data": "set test", "seen": "a shadow under the rib"}
    ],
    "ablation": {
        "data": "set test",
        "epochs": 4,
        "settings": {"train.augment.paste": 0.5},
        "variants": [
            {
                "variant": "full",
                "figures": [{"name": "Dice", "value": 0.8, "bar": "≥ 0.7"}, {"name": "IoU", "value": 0.7}],
            },
            {
                "variant": "no attention",
                "figures": [{"name": "Dice", "value": 0.75}],
                "differences": [{"name": "Dice", "value": -0.05, "ci95": [-0.07, 0.01]}],
            },
        ],
    },
    "calibration": {"temperature": 1.3},
    "measured_by": "medvis evaluate --task tiny --data set",
}


def test_a_card_is_read_from_top_to_bottom():
    rows = card_rows(Card.model_validate(tiny_card(**FULL)))
    names = [name for name, _ in rows if name]
    wanted = ["task", "version", "summary", "intended use", "not for", "data", "figures", "worst cases", "ablation"]
    assert names[: len(wanted)] == wanted and names.index("known failures") < names.index("measure again")
    told = dict(rows)
    assert told["figures"] == "Dice 0.8 [0.7, 0.9] (n=9; bar ≥ 0.7 reached; disc 0.5)"
    assert told["worst cases"] == "set test, a-1 (0.10): missed - a shadow under the rib"
    assert told["temperature"] == "1.3, fitted on val"
    first = [name for name, _ in rows].index("ablation")
    assert [text for _, text in rows[first : first + 3]] == [
        "each variant trained alike (4 epochs, train.augment.paste 0.5), measured on set test; in brackets how far it "
        "is from the first",
        "full: Dice 0.8",
        "no attention: Dice 0.75 (-0.05 [-0.07, +0.01])",
    ]
    plain = [name for name, _ in card_rows(Card.model_validate(tiny_card()))]
    assert not {"worst cases", "ablation", "temperature"} & set(plain), "what was not measured takes no line"


def test_a_bar_is_reached_from_its_side():
    assert [Figure(name="x", value=2, bar=bar).reached for bar in ("≥ 2", "≥ 2.1", "≤ 2", "≤ 1", None)] == [
        True, False, True, False, None,
    ]  # fmt: skip


def test_the_confusion_is_a_table():
    header, rows = matrix_rows({"a": {"a": 3, "b": 1}, "b": {"a": 0, "b": 2}})
    assert header == ["true \\ said", "a", "b"] and rows == [["a", "3", "1"], ["b", "0", "2"]]


def test_the_command_prints_the_card(medvis):
    text = medvis("card", "lung-nodule").stdout.decode()
    for name in ("intended use", "not for", "data", "figures", "known failures", "measure again", "thresholds"):
        assert f"\n{name}\t" in text
    body = medvis("card", "lung-nodule", "--json").json
    assert Card.model_validate(body) == Card.model_validate(medvis("tasks", "lung-nodule", "--json").json["card"])
    medvis("card", "nonsense").error(4)


def test_a_task_without_a_bundle_is_told_so(medvis, tmp_path):
    path = write_whole(tmp_path, OUTLINED)
    assert "names no bundle" in medvis("card", path).error(5)


def _measured(data: str, value: float, *worst: str) -> Evaluation:
    cases = [Worst(id=name, score=0.2, description=f"measured {value}") for name in worst]
    return Evaluation("tiny", "tiny 1", data, [Figure(name="Dice", value=value)], worst=cases)


def test_what_a_person_saw_stays_and_each_data_set_keeps_its_own(tmp_path):
    seen = {"worst": [{"id": "a-1", "score": 0.1, "description": "old", "data": "set test", "seen": "a shadow"}]}
    write_card(tmp_path, Card.model_validate(tiny_card(**{**FULL, **seen})))
    new = add_figures(tmp_path, _measured("set test", 0.9, "a-1", "b-2"), "measure")
    assert [(one.id, one.description, one.seen) for one in new.worst] == [
        ("a-1", "measured 0.9", "a shadow"), ("b-2", "measured 0.9", None),
    ]  # fmt: skip
    assert [(figure.value, figure.data) for figure in new.figures] == [(0.9, "set test")], "the old one had no data"
    other = add_figures(tmp_path, _measured("elsewhere test", 0.6, "a-1"), "measure elsewhere")
    assert other.worst[:2] == new.worst and (other.worst[2].data, other.worst[2].seen) == ("elsewhere test", None)
    assert [(figure.value, figure.data) for figure in other.figures] == [(0.9, "set test"), (0.6, "elsewhere test")]
    again = add_figures(tmp_path, _measured("set test", 0.8, "c-3"), "measure")
    assert [(figure.value, figure.data) for figure in again.figures] == [(0.8, "set test"), (0.6, "elsewhere test")]
    assert [one.id for one in again.worst] == ["c-3", "a-1"], "measured again, they stay where they were"
    assert again.measured_by.splitlines()[-2:] == ["measure", "measure elsewhere"]
    assert other.ablation == Ablation.model_validate(FULL["ablation"])


class TestEvaluateCommand:
    def test_it_prints_figures_confusion_and_worst_cases(self, medvis, tmp_path, monkeypatch):
        path = _task(tmp_path, monkeypatch)
        text = medvis("evaluate", "--task", path, "--data", write_index(tmp_path / "set")).stdout.decode()
        for part in ("Accuracy\t", "true \\ said\tbenign\tmalignant\tnormal", "worst case\tscore"):
            assert part in text
        assert "bug" not in text

    def test_json_plots_and_the_card(self, medvis, tmp_path, monkeypatch):
        pytest.importorskip("matplotlib", reason="the extra 'train' draws the plots")
        path, data = _task(tmp_path, monkeypatch), write_index(tmp_path / "set", 1)
        ran = medvis("evaluate", "--task", path, "--data", data, "--json", "--update-card", "--plots", "drawn")
        names = {figure["name"] for figure in ran.json["figures"]}
        card = read_card(tmp_path / "own")
        assert names == {figure.name for figure in card.figures} and card.worst
        assert card.measured_by == f"medvis evaluate --task {path} --data set --split test"
        assert (tmp_path / "here" / "drawn" / "roc.png").is_file()
        assert (tmp_path / "here" / "drawn" / "worst-1.png").is_file()

    def test_a_folder_that_is_no_data_set_is_one_line(self, medvis, tmp_path, monkeypatch):
        path = _task(tmp_path, monkeypatch)
        assert "is no data set; wanted: index.csv" in medvis("evaluate", "--task", path, "--data", tmp_path).error(3)
        crops = write_data(tmp_path / "crops")
        assert "no row of split 'x'" in medvis("evaluate", "--task", path, "--data", crops, "--split", "x").error(3)


def _task(folder, monkeypatch) -> str:
    """A task with a card of its own, whose model is the predictor in numpy."""
    tones = {"normal": (12.0, 0.1), "benign": (12.0, 0.35), "malignant": (12.0, 0.6)}
    model = Tones(BREAST, tones, masks=["bright patch"], thresholds={"high": 0.5, "low": 0.4, "finding": 0.3})
    path = write_whole(folder, OUTLINED, bundle="own", train={"readers": 1})
    pipeline_of(path, None, model)
    (folder / "own").mkdir()
    (folder / "own" / "card.yaml").write_text(yaml.safe_dump(model.card.model_dump(mode="json")), encoding="utf-8")
    monkeypatch.setattr("medvis.pipeline.open_model", lambda _: model)
    return path


@pytest.mark.parametrize("task", task_names())
def test_a_shipped_card_says_what_its_task_says_and_no_worst_case_went_unseen(task):
    config = load_task(task)
    card = read_card(bundle_folder(config.bundle))
    told = card.model_dump(exclude_none=True)
    for name, said in config.card.items():
        assert told[name] == said, f"{name}: the card and the task's YAML differ"
    assert card.figures and card.worst and all(worst.seen for worst in card.worst)
    assert all(figure.bar is None or figure.data for figure in card.figures)
