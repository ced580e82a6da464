"""What the model learned to look at travels with it: anything else is refused, or looked at on purpose and referred."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from tiny_bundle import contract_of, pipeline_of, tiny_card
from tiny_chest import Blobs, chest
from tiny_whole import CHEST, Tones, patch, picture, write_whole

from medvis.builtin_tasks import configs_folder
from medvis.core.case import Case
from medvis.errors import ModelError, SettingsError
from medvis.model.bundle import bundle_folder, read_card
from medvis.model.contract import InputContract, differences, unit_differs
from medvis.pipeline import Pipeline
from medvis.settings import load_task
from medvis.tasks import task_names

NARROW = {"stages.window.center": 40, "stages.window.width": 400}
LEARNED = "center -150, width 2400, function LINEAR_EXACT"
IGNORE = {"input_contract": "ignore"}


@pytest.mark.parametrize("task", task_names())
def test_a_shipped_card_and_its_task_show_the_same(task):
    config = load_task(task)
    card = read_card(bundle_folder(str(config.bundle), config.base))
    shown = Pipeline(task).shown()
    assert not differences(card.input, shown) and unit_differs(card.input, config.accepts.units) is None
    assert card.input.colour == ("RGB" if card.input.channels == 3 else "grey")


@pytest.mark.parametrize(
    ("overrides", "found", "wanted"),
    [
        (NARROW, "stages.window is center 40, width 400, function LINEAR_EXACT", LEARNED),
        ({"stages.window.function": "LINEAR"}, "stages.window is center -150, width 2400, function LINEAR", LEARNED),
        ({"stages.window.center": None, "stages.window.width": None}, "stages.window is range valid", LEARNED),
        ({"stages.window": {}}, "stages.window is range valid", LEARNED),
        ({"stages.window.preset": "lung"}, "stages.window is center -600, width 1500", LEARNED),
        ({"stages.enhance.method": "clahe"}, "stages.enhance is method clahe, clip 2, tiles [8, 8]", "method none"),
        ({"stages.infer.scales": {1.0: 1.0}}, "stages.infer.scales is {1: 1}", "{0.5: 0.1, 0.75: 0.25, 1: 1"),
        ({"stages.infer.flips": ["none"]}, "stages.infer.flips is [none]", "[none, horizontal]"),
        ({"stages.infer.resample.spacing_mm": 1.0}, "stages.infer.resample.spacing_mm is 1", "not set"),
        ({"stages.infer.candidate.crop": 64}, "stages.infer.candidate.crop is 64", "96"),
        ({"accepts.units": ["US"]}, "the unit is US", "HU"),
        ({"accepts.units": []}, "the unit is any", "HU"),
    ],
)
def test_what_a_model_did_not_learn_is_refused_in_one_line_before_any_pixel_is_read(overrides, found, wanted):
    with pytest.raises(SettingsError) as caught:
        Pipeline("lung-nodule", overrides)
    line = caught.value.line
    assert caught.value.exit_code == 4 and "\n" not in line
    assert line.startswith(f"task 'lung-nodule': {found}")
    assert f"wanted: {wanted}" in line and "as model 'lung-nodule 1' has learned it" in line
    assert "--set input_contract=ignore" in line
    Pipeline("lung-nodule", {**overrides, **IGNORE})


@pytest.mark.parametrize("part", ["center", "width"])
def test_half_a_window_is_none(part):
    with pytest.raises(SettingsError, match=r"a window has both a center and a width; without either, a range"):
        Pipeline("lung-nodule", {f"stages.window.{part}": None})


def test_several_differences_are_counted():
    with pytest.raises(SettingsError, match=r"LINEAR_EXACT \(and 1 more\); wanted"):
        Pipeline("lung-nodule", {**NARROW, "stages.enhance.method": "clahe"})


@pytest.mark.parametrize("task", ["breast-ultrasound", "chest-tb", "steel", "ball-screw"])
def test_pictures_have_a_contract_too(task):
    with pytest.raises(SettingsError, match=r"stages.window is center 40, width 400.*wanted: range stored"):
        Pipeline(task, NARROW)
    with pytest.raises(SettingsError, match=r"stages.window is range valid; wanted: range stored"):
        Pipeline(task, {"stages.window.range": "valid"})


def test_a_task_without_a_window_stage_has_nothing_to_show(tmp_path):
    body = yaml.safe_load((configs_folder() / "lung-nodule.yaml").read_text(encoding="utf-8"))
    del body["stages"]["window"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"stage 'enhance' needs view before it"):
        Pipeline(str(path))


def write_card(folder, contract):
    """The card of a bundle; the contract is compared before anybody asks for its graph."""
    folder.mkdir(exist_ok=True)
    (folder / "card.yaml").write_text(yaml.safe_dump(tiny_card(input=contract), sort_keys=False), encoding="utf-8")


def test_the_law_holds_for_bundles_of_others(tmp_path):
    write_card(tmp_path / "theirs", contract_of() | {"unit": "grey"})
    body = yaml.safe_load((configs_folder() / "lung-nodule.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**body, "task": "mine", "bundle": "theirs"}, sort_keys=False), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"task 'mine': the unit is HU; wanted: grey, as model 'tiny 1'"):
        Pipeline(str(path))
    write_card(tmp_path / "theirs", contract_of() | {"colour": "BGR"})
    with pytest.raises(SettingsError, match=r"the order of the channels is RGB; wanted: BGR"):
        Pipeline(str(path))


def test_a_card_without_a_contract_is_no_card(tmp_path):
    write_card(tmp_path, {name: part for name, part in contract_of().items() if name != "window"})
    with pytest.raises(ModelError, match=r"card.yaml: input.window: field required"):
        read_card(tmp_path)


@pytest.mark.parametrize("window", [{}, {"center": 1.0}, {"center": 1.0, "width": 2.0, "range": "valid"}])
def test_a_contract_names_a_window_or_a_range(window):
    with pytest.raises(ValueError, match="a window has center, width and function"):
        InputContract.model_validate(contract_of() | {"window": window})


def overruled(overrides):
    """A chest looked at through what the model did not learn, on purpose."""
    model = Blobs()
    pipeline_of("lung-nodule", None, model)
    return Pipeline("lung-nodule", {**overrides, **IGNORE}, model).outcome(chest()).report


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (NARROW, "stages.window is center 40, width 400, function LINEAR_EXACT instead of " + LEARNED),
        ({"stages.enhance.method": "clahe"}, "stages.enhance is method clahe, clip 2, tiles [8, 8] instead of method"),
        ({"accepts.units": []}, None),
    ],
)
def test_on_purpose_it_is_looked_at_and_left_to_a_person(overrides, what):
    report = overruled(overrides)
    if what is None:  # the scan itself is in the unit that the model knows
        assert not any("did not learn" in note for note in report.notes)
        return
    assert report.verdict.decision == "refer"
    assert "no figure of its card holds" in report.verdict.reasons[0] and what in report.verdict.reasons[0]
    assert any(what in note and note[0].isupper() for note in report.notes)


def test_obeyed_the_report_says_nothing_of_it():
    model = Blobs()
    report = pipeline_of("lung-nodule", None, model).outcome(chest()).report
    assert "did not learn" not in report.model_dump_json() and "contract" not in report.model_dump_json()
    plain = load_task("lung-nodule").sha256
    assert load_task("lung-nodule", {"input_contract": "obey"}).sha256 == plain
    assert load_task("lung-nodule", IGNORE).sha256 != plain


def test_a_chain_whose_window_was_another_one_is_refused_by_the_model(tmp_path):
    model = Blobs()
    line = pipeline_of("lung-nodule", None, model)
    narrow = Pipeline("lung-nodule", {**NARROW, **IGNORE}, model)
    case, _ = narrow.run(Case(chest(), "lung-nodule"), last="enhance")
    with pytest.raises(SettingsError, match=r"stages.window is center 40, width 400, .*wanted: center -150"):
        line.run(case, first="infer", last="infer")
    case, _ = Pipeline("lung-nodule", IGNORE, model).run(case, first="infer")
    assert case.verdict is not None and case.verdict.decision == "refer"


def test_a_picture_in_hounsfield_units_is_none_that_a_model_of_pictures_knows(tmp_path):
    path = write_whole(tmp_path, accepts={"modalities": [], "channels": [1, 3], "raster": True})
    line = pipeline_of(path, None, Tones(CHEST, {"tuberculosis": (20, 0.9)}))
    assert line.outcome(picture(patch())).report.verdict.decision
    with pytest.raises(SettingsError, match=r"the unit is HU; wanted: grey"):
        line.outcome(chest())


def test_colours_for_a_grey_model_are_refused_whatever_is_ignored(tmp_path):
    path = write_whole(tmp_path, settings={"window": {"range": "stored", "grey": False}})
    model = Tones(CHEST, {})
    pipeline_of(path, None, model)
    colours = picture(np.random.default_rng(0).uniform(0, 255, (64, 64, 3)))
    with pytest.raises(SettingsError, match=r"has 3 channel\(s\); wanted: 1 \(grey\).*stages.window.grey: true"):
        Pipeline(path, IGNORE, model).outcome(colours)
