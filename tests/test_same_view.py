"""With augmentation off, training shows the network what inference shows it, bit for bit, for each bundled task."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_bundle import pipeline_of
from tiny_whole import Tones

pytest.importorskip("torch", reason="training needs the extra 'train'")

from medvis.learn.bundling.validation_views import validation_views
from medvis.learn.data.index import read_index
from medvis.learn.data.views import ViewReader
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sources import sources
from medvis.model.bundle import bundle_folder, read_card
from medvis.pipeline import load
from medvis.settings import load_task, validated

OFF = {
    "rotate": 0.0, "mirror": 0.0, "upside_down": 0.0, "zoom": (1.0, 1.0), "shift": 0.0, "near": 0.0, "elastic": 0.0,
    "window": (0.0, 0.0), "gamma": 0.0, "colour": 0.0, "noise": 0.0, "speckle": 0.0, "blur": 0.0, "motion": 0.0,
    "absent": 0.0, "paste": 0.0, "cutout": 0.0, "mixup": 0.0, "smoothing": 0.0,
}  # fmt: skip
# One view at full scale: what the others are made from.
ONE_VIEW = {"stages.infer.scales": {1.0: 1.0}, "stages.infer.flips": ["none"], "stages.infer.region": "all"}
WHOLE = ("breast-ultrasound", "chest-tb", "steel")
SIZES = {"ball-screw": (320, 448), "lung-nodule": (128, 128)}


class Recorder(Tones):
    """A model that says nothing and keeps what it was shown."""

    def __init__(self, task: str) -> None:
        config = load_task(task)
        self.card, self.shown = read_card(bundle_folder(str(config.bundle))), []

    def __call__(self, batch, outputs):
        self.shown.append(batch.copy())
        count, _, rows, cols = batch.shape
        labels, masks = len(self.card.labels), len(self.card.masks)
        given = {
            "class_logits": np.zeros((count, labels), np.float32),
            "mask_logits": np.full((count, masks, rows, cols), -9.0, np.float32),
            "evidence": np.full((count, labels, rows // 8, cols // 8), -9.0, np.float32),
            "embedding": np.zeros((count, 4), np.float32),
        }
        return {name: given[name] for name in outputs}


def picture(task: str, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A picture with structure: uint8 or uint16, grey or colour."""
    size = SIZES.get(task, (200, 160))
    channels = 3 if kind == "colour" else 1
    coarse = rng.uniform(0, 255, (6, 6, channels)).astype(np.float32)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).reshape(*size, channels)
    image = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255)
    return (image * 257).astype(np.uint16) if kind == "16 bit" else image.astype(np.uint8)


def write(folder: Path, task: str, kind: str) -> Path:
    """A data set whose pictures have a lesion each in their middle, and a label that the task knows."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    rng, rows = np.random.default_rng(0), []
    labels = [label["name"] for label in load_task(task).train["labels"]]
    for index in range(10):
        image = picture(task, kind, rng)
        mask = np.zeros(image.shape[:2], np.uint8)
        middle = np.array(image.shape[:2]) // 2
        mask[middle[0] - 5 : middle[0] + 5, middle[1] - 4 : middle[1] + 5] = 4
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
        row = {"id": index, "split": "val" if index % 5 == 4 else "train", "group": index}
        files = {"image": f"images/{index}.png", "mask": f"masks/{index}.png"}
        ratings = {label["column"]: 1 + index % 5 for label in load_task(task).train["labels"] if label.get("column")}
        rows.append({**row, "label": labels[index % len(labels)], **files, **ratings})
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder


def trained_on(task: str, data: Path):
    """The sampler of the task's own recipe, without augmentation, and the validator."""
    config = load_task(task)
    changes = {"augment": OFF, "batch": 2, "hard_negatives": None, "negative_volume": None, "val_volume": None}
    recipe = validated(Recipe, {**config.train, **changes}, "train")
    return recipe, *sources(recipe, ViewReader(config), data)


def seen_at_inference(task: str, path: Path, overrides=ONE_VIEW) -> list[np.ndarray]:
    """Everything that the model is shown of a file."""
    model = Recorder(task)
    line = pipeline_of(task, overrides, model)
    line.run(line.accept(load(path)), last="infer")
    return model.shown


KINDS = {"lung-nodule": ["grey"], "ball-screw": ["colour"]}
CASES = [
    (task, kind)
    for task in ("lung-nodule", "ball-screw", *WHOLE)
    for kind in KINDS.get(task, ["grey", "16 bit", "colour"])
]


@pytest.mark.parametrize(("task", "kind"), CASES)
def test_training_and_inference_show_the_same_tensor(task, kind, tmp_path):
    data = write(tmp_path, task, kind)
    recipe, sampler, _ = trained_on(task, data)
    inside = {}
    for path in sorted((data / "images").iterdir()):
        whole = {"stages.infer.tile": 512} if task in SIZES else {}
        inside[path.stem] = seen_at_inference(task, path, {**ONE_VIEW, **whole})[0][0]
    side = recipe.phases[-1].size
    for index in range(4):
        view = sampler.crop(0, index, side).view
        assert view.dtype == np.float32 and view.shape[1:] == (side, side)
        if task in WHOLE:
            assert any(np.array_equal(view, shown) for shown in inside.values())
        else:
            rows, cols = SIZES[task]
            assert any(holds(shown[:, :rows, :cols], view) for shown in inside.values()), "cut out, bit for bit"


def holds(image: np.ndarray, piece: np.ndarray) -> bool:
    """Whether a piece [c, s, s] lies somewhere in an image [c, rows, cols], bit for bit, or over its mirrored edge."""
    side = piece.shape[-1]
    image = np.pad(image, ((0, 0), (side // 2, side // 2), (side // 2, side // 2)), mode="symmetric")
    corners = np.argwhere(image[0, : image.shape[1] - side + 1, : image.shape[2] - side + 1] == piece[0, 0, 0])
    return any(np.array_equal(image[:, row : row + side, col : col + side], piece) for row, col in corners)


@pytest.mark.parametrize("task", WHOLE)
def test_validation_sees_what_inference_sees(task, tmp_path):
    data = write(tmp_path, task, "16 bit")
    _, _, validator = trained_on(task, data)
    shown = [seen_at_inference(task, row.image)[0][0] for row in validator.pictures.rows]
    np.testing.assert_array_equal(validator.views.numpy(), np.stack(shown))


@pytest.mark.parametrize("task", ["lung-nodule", "ball-screw", "chest-tb", "breast-ultrasound"])
def test_graphs_are_compared_on_what_inference_shows(task, tmp_path):
    data = write(tmp_path, task, KINDS.get(task, ["16 bit"])[0])
    recipe = validated(Recipe, load_task(task).train, "train")
    validation = validation_views(task, recipe, data)
    side, rows = recipe.phases[-1].size, read_index(data, "val")
    assert validation.views.shape == (len(rows), recipe.channels, side, side) and validation.groups == [
        row.group for row in rows
    ]
    assert (validation.masks is None) == (not recipe.masks)
    for view, row in zip(validation.views, rows, strict=True):
        whole = {"stages.infer.tile": 512} if task in SIZES else {}
        shown = seen_at_inference(task, row.image, {**ONE_VIEW, **whole})[0][0]
        if task in WHOLE:
            np.testing.assert_array_equal(view, shown)
        else:
            high, wide = SIZES[task]
            assert holds(shown[:, :high, :wide], view)
    if validation.masks is not None:
        assert validation.masks.any((1, 2)).all(), "each has its lesion in it"
    names = [label.name for label in recipe.labels if label.kind == "class"]
    if names:
        assert validation.truth.tolist() == [names.index(row.label) for row in rows]


def test_enhancement_is_learned_as_it_is_shown(tmp_path):
    """CLAHE looks at the whole picture: training must not enhance crops of their own."""
    data = write(tmp_path, "steel", "grey")
    config = load_task("steel", {"stages.enhance.method": "clahe"})
    recipe = validated(Recipe, {**config.train, "augment": OFF, "batch": 2}, "train")
    sampler, _ = sources(recipe, ViewReader(config), data)
    overrides = {**ONE_VIEW, "stages.enhance.method": "clahe"}
    shown = [seen_at_inference("steel", path, overrides)[0][0] for path in sorted((data / "images").iterdir())]
    views = [sampler.crop(0, index, recipe.phases[-1].size).view for index in range(4)]
    assert all(any(np.array_equal(view, one) for one in shown) for view in views)
    plain = [seen_at_inference("steel", path)[0][0] for path in sorted((data / "images").iterdir())]
    assert not any(any(np.array_equal(view, one) for one in plain) for view in views)


def test_what_inference_refuses_is_not_trained_on(tmp_path):
    data = write(tmp_path, "steel", "grey")
    path = data / "images" / "0.png"
    good = cv2.imread(str(path))
    cv2.imwrite(str(path.with_suffix(".jpg")), good)
    path.write_bytes(path.with_suffix(".jpg").read_bytes()[:-900])
    with pytest.raises(Exception, match=r"0\.png") as at_inference:
        load(path)
    with pytest.raises(type(at_inference.value), match=r"0\.png"):
        trained_on("steel", data)
