"""Name → object through entry points: only what is named is imported, and a wrong name is one clear line."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from medvis import plugins
from medvis.errors import SettingsError


@pytest.fixture(autouse=True)
def looked_up_afresh():
    """The table of entry points is kept for the life of a process: not from one test to the next."""
    plugins.forget()
    yield
    plugins.forget()


def register(monkeypatch, *points):
    """These entry points instead of those that are installed."""
    monkeypatch.setattr(plugins, "entry_points", lambda: EntryPoints(points))


STAGES = {"window", "enhance", "infer", "segment", "refine", "measure", "judge", "explain"}


def test_the_built_in_plugins_are_registered_through_the_same_door():
    assert STAGES.issubset(plugins.names("medvis.stages"))
    assert {"dicom", "raster", "nifti"}.issubset(plugins.names("medvis.readers"))
    assert {"json", "heatmap", "mask"}.issubset(plugins.names("medvis.writers"))
    assert "onnx" in plugins.names("medvis.backends")
    assert "lung-nodule" in plugins.names("medvis.bundles")
    assert "lung-nodule" in plugins.names("medvis.tasks")


def test_names_are_sorted_and_an_unknown_group_is_empty():
    assert list(plugins.names("medvis.stages")) == sorted(plugins.names("medvis.stages"))
    assert plugins.names("medvis.nothing") == ()


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_loads_by_its_name(name):
    assert plugins.load("medvis.stages", name).name == name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"unknown stage 'widow'; wanted: one of .*window"):
        plugins.load("medvis.stages", "widow")
    with pytest.raises(SettingsError, match=r"unknown nothing 'x'; wanted: one of \(none\)"):
        plugins.load("medvis.nothing", "x")


def test_a_plugin_that_cannot_be_imported_is_a_settings_error(monkeypatch):
    broken = EntryPoint("broken", "no_such_package_anywhere:Thing", "medvis.stages")
    register(monkeypatch, broken)
    assert plugins.names("medvis.stages") == ("broken",), "listing imports nothing"
    with pytest.raises(SettingsError, match=r"medvis.stages 'broken' cannot be imported: .*reinstall"):
        plugins.load("medvis.stages", "broken")


def test_a_plugin_whose_name_is_absent_from_its_module_is_a_settings_error(monkeypatch):
    moved = EntryPoint("moved", "medvis.errors:Gone", "medvis.stages")
    register(monkeypatch, moved)
    with pytest.raises(SettingsError, match=r"medvis.stages 'moved' cannot be imported"):
        plugins.load("medvis.stages", "moved")


def test_two_packages_that_register_one_name_are_refused_when_it_is_used(monkeypatch):
    points = [EntryPoint("twin", f"medvis.{module}:Thing", "medvis.stages") for module in ("errors", "plugins")]
    register(monkeypatch, *points, points[0])
    assert plugins.origins("medvis.stages", "twin") == ("medvis.errors:Thing", "medvis.plugins:Thing")
    with pytest.raises(SettingsError, match=r"'twin' is registered twice: by medvis.errors:Thing and medvis.plugins"):
        plugins.load("medvis.stages", "twin")


def test_a_name_says_which_package_brought_it():
    (origin,) = plugins.origins("medvis.stages", "window")
    assert origin.startswith("medvis ")
    assert plugins.origins("medvis.stages", "nothing") == ()
