"""A model that looks at a volume in steps of so many mm, and answers in the frames and pixels of the source."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_chest import NODULES, chest, pipeline, truth

from medvis.core.geometry import Geometry
from medvis.errors import InputError
from medvis.preprocess.regrid import Regrid, ResampleSettings


def outcome(**settings):
    line = pipeline({f"stages.infer.resample.{name}": value for name, value in settings.items()})
    return line.outcome(chest())


@pytest.fixture(scope="module")
def usual():
    return outcome()


def nearest(report, nodule):
    """The finding nearest to a true nodule."""
    at = np.array(nodule.center_mm[::-1])
    return min(report.findings, key=lambda item: float(np.linalg.norm(np.array(item.centroid_mm) - at)))


@pytest.mark.parametrize(("spacing", "order"), [(1.0, "linear"), (1.25, "cubic"), (0.9, "linear")])
def test_the_same_nodules_are_found_in_the_source_s_own_pixels(usual, spacing, order):
    seen = outcome(spacing_mm=spacing, order=order)
    assert seen.case.mask.shape == truth().shape == seen.case.region.shape
    assert seen.report.scan == usual.report.scan
    for nodule in NODULES:
        here, plain = nearest(seen.report, nodule), nearest(usual.report, nodule)
        assert np.allclose(here.centroid_mm[:2], nodule.center_mm[:0:-1], atol=0.6)
        assert here.area_mm2 == pytest.approx(plain.area_mm2, rel=0.15)
        assert here.probability == pytest.approx(plain.probability, abs=0.1)  # it was looked at closely as well


def test_the_model_does_look_at_the_other_grid():
    line = pipeline({"stages.infer.resample.spacing_mm": 2.0, "stages.infer.region": "all"})
    case, _ = line.run(line.accept(chest()), last="infer")
    first = line.context.predictor.batches[0]
    assert first[2:] == (192, 192)  # 320 px of 1.1 mm are 176 of 2 mm: one tile
    step = next(step for step in case.scan.trail if step.name == "infer")
    assert step.settings["resample"] == {"spacing_mm": 2.0, "order": "linear"}
    assert len(line.context.predictor.batches) >= 6  # 5 frames, 2.5 mm apart, are 6 of 2 mm


def test_a_point_of_the_other_grid_is_where_the_axes_say():
    """There and back again, the box and the centre of a candidate do not move."""
    grid = Regrid.of(chest(), ResampleSettings(spacing_mm=1.7))
    assert grid is not None
    points = np.array([[[10.0, 20.0], [30.5, 40.5]]])
    mm = [axis.positions[0] * 1.1 + 1.7 * points[..., i] for i, axis in enumerate(grid.axes[1:])]
    assert np.allclose(grid.to_scan(points) * 1.1, np.stack(mm, -1))
    assert [len(axis.positions) for axis in grid.axes] == [6, 207, 207]


BENT = chest().geometry.positions + np.array([0, 0, 1.5])[None] * np.array([0, 0, 1, 0, 0])[:, None]
TILTED = chest().geometry.positions + np.array([0, 1.0, 0])[None] * np.arange(5)[:, None]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spacing": None, "reasons": {"spacing": "no tag"}}, "has no spacing: no tag"),
        ({"slice_spacing": None, "reasons": {"slice_spacing": "a gap"}}, "has no distance of slices: a gap"),
        ({"positions": BENT}, "has slices 1 to 4 mm apart"),
        ({"positions": TILTED}, "shifted sideways"),
    ],
)
def test_a_grid_that_is_unknown_or_uneven_is_refused_in_one_line(changes, reason):
    geometry = replace(chest().geometry, **changes)
    with pytest.raises(InputError, match=reason) as caught:
        Regrid.of(chest(geometry=geometry), ResampleSettings(spacing_mm=1.0))
    assert "to look at it in steps of 1 mm" in caught.value.line and "\n" not in caught.value.line


def test_a_spacing_without_sense_is_refused():
    for spacing in (0.01, 40.0):
        with pytest.raises(InputError, match="32 to 4096 a side"):
            Regrid.of(chest(), ResampleSettings(spacing_mm=spacing))


def test_a_single_frame_is_resampled_in_its_plane():
    scan = chest()
    one = scan.derive(pixels=scan.pixels[2:3], geometry=Geometry(spacing=(1.1, 1.1)))
    areas = [
        sorted(finding.area_mm2 for finding in pipeline(settings).outcome(one).report.findings)[-3:]
        for settings in ({}, {"stages.infer.resample.spacing_mm": 1.0})
    ]
    assert np.allclose(*areas, rtol=0.15)
