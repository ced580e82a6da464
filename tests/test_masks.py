"""One reader of masks for training and evaluation: of whatever kind, what is marked is the target, and no more."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from tiny_readers import reader_of
from tiny_sets import breast, write_index

from medvis.errors import InputError
from medvis.learn.data.ct_pictures import load_ct_pictures
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.index import read_index
from medvis.learn.data.masks import MaskFile, empty_masks, read_mask, require_readers
from medvis.learn.data.pictures import load_pictures

ROWS, COLS = 40, 56
SQUARE = np.zeros((ROWS, COLS), bool)
SQUARE[8:24, 16:40] = True
TWO = SQUARE.copy()
TWO[30:36, 4:12] = True


def palette(values, transparency=None):
    image = Image.fromarray(values.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 250, 0, 0, 1, 1, 1, 0, 90, 0, 9, 9, 200] + [0] * 753)
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def save_png(path, image):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path)


def save_tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": None, **options})


def ids(*values):
    """Two lesions, each with a number of its own."""
    labels = np.zeros((ROWS, COLS), np.int64)
    labels[8:24, 16:40], labels[30:36, 4:12] = values
    return labels


ALPHA = np.full((ROWS, COLS), 255, np.uint8)
BINARY = SQUARE.astype(np.uint8) * 255
KINDS = {  # name of the file → what writes it, and what is marked
    "bilevel.png": (lambda path: save_png(path, SQUARE), SQUARE),
    "ones.png": (lambda path: save_png(path, SQUARE.astype(np.uint8)), SQUARE),
    "white.png": (lambda path: save_png(path, BINARY), SQUARE),
    "ids256.png": (lambda path: cv2.imwrite(str(path), ids(256, 512).astype(np.uint16)), TWO),
    "ids.png": (lambda path: cv2.imwrite(str(path), ids(1, 65535).astype(np.uint16)), TWO),
    "ids32.tif": (lambda path: save_tiff(path, ids(65536, 1 << 24).astype(np.int32)), TWO),
    "float.tif": (lambda path: save_tiff(path, (SQUARE * 0.9).astype(np.float32)), SQUARE),
    "soft.tif": (lambda path: save_tiff(path, (ids(9, 3) / 10).astype(np.float32)), SQUARE),
    "float255.tif": (lambda path: save_tiff(path, (SQUARE * 255).astype(np.float32)), SQUARE),
    "nan.tif": (lambda path: save_tiff(path, np.where(SQUARE, 1, np.nan).astype(np.float32)), SQUARE),
    "void.tif": (
        lambda path: save_tiff(path, ids(1, 255).astype(np.uint8), extratags=[(42113, "s", 0, "255", True)]),
        SQUARE,
    ),
    "bilevel.tif": (lambda path: save_tiff(path, SQUARE), SQUARE),
    "ids_white_is_zero.tif": (
        lambda path: save_tiff(path, ids(1, 2).astype(np.uint8), photometric="miniswhite"),
        TWO,
    ),
    "ids16_white_is_zero.tif": (
        lambda path: save_tiff(path, ids(256, 65535).astype(np.uint16), photometric="miniswhite"),
        TWO,
    ),
    "lzw.tif": (lambda path: save_tiff(path, BINARY, compression="lzw"), SQUARE),
    "grey_alpha.png": (lambda path: save_png(path, np.dstack([BINARY, ALPHA])), SQUARE),
    "rgba.png": (lambda path: save_png(path, np.dstack([BINARY] * 3 + [ALPHA])), SQUARE),
    "grey_as_rgb.png": (lambda path: save_png(path, np.dstack([BINARY] * 3)), SQUARE),
    "red.png": (lambda path: save_png(path, np.dstack([BINARY, BINARY * 0, BINARY * 0])), SQUARE),
    "colours.png": (lambda path: save_png(path, np.dstack([ids(0, 9), ids(7, 0), ids(1, 0)]).astype(np.uint8)), TWO),
    "palette.png": (lambda path: save_png(path, palette(ids(1, 2))), TWO),
    "palette_clear.png": (lambda path: palette(ids(1, 2)).save(path, transparency=0), TWO),
    "palette.gif": (lambda path: palette(ids(1, 2)).save(path), TWO),
    "palette.tif": (
        lambda path: save_tiff(
            path, ids(1, 2).astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)
        ),
        TWO,
    ),
    "mask.pgm": (lambda path: save_png(path, BINARY), SQUARE),
    "mask.bmp": (lambda path: save_png(path, BINARY), SQUARE),
    "mask.jpg": (lambda path: Image.fromarray(BINARY).save(path, quality=70), SQUARE),
    "colour.jpg": (lambda path: Image.fromarray(np.dstack([BINARY] * 3)).save(path, quality=60), SQUARE),
    "jpeg.tif": (lambda path: save_tiff(path, BINARY, compression="jpeg"), SQUARE),
}
COUNTING = {
    "ones.png",
    "ids_white_is_zero.tif",
    "palette.png",
    "palette_clear.png",
    "palette.gif",
    "palette.tif",
    "bilevel.png",
}
COUNTING |= {"bilevel.tif", "nan.tif", "void.tif"}
BLURRED = ("mask.jpg", "colour.jpg", "jpeg.tif")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_mask_is_its_target(tmp_path, name):
    write, expected = KINDS[name]
    write(tmp_path / name)
    target = read_mask(tmp_path / name).target
    assert target.dtype == bool and target.shape == expected.shape
    if name in BLURRED:  # at an edge a lossy compression may move the border by a pixel
        inner, outer = (change(expected.astype(np.uint8), np.ones((3, 3))) for change in (cv2.erode, cv2.dilate))
        assert target[inner > 0].all() and not target[outer == 0].any()
    else:
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("pixels", [SQUARE, BINARY, BINARY * 0, BINARY.astype(np.uint16) * 257], ids=lambda p: p.dtype)
@pytest.mark.parametrize("negative", [False, True])
def test_black_and_white_that_shows_0_as_white_may_mean_either(tmp_path, pixels, negative):
    """ImageJ's masks and a scan of black ink have the same bytes."""
    save_tiff(tmp_path / "a.tif", ~pixels if negative else pixels, photometric="miniswhite")
    with pytest.raises(InputError, match="which of them is marked is not said; wanted: a mask in which 0 is black"):
        read_mask(tmp_path / "a.tif")


@pytest.mark.parametrize("name", [name for name in KINDS if name not in COUNTING and "ids" not in name])
def test_one_value_marks_whatever_the_number_of_readers_is(tmp_path, name):
    """0 and 255, or 0 and 0.9, count no readers: nothing may vanish where the task wants two of them."""
    KINDS[name][0](tmp_path / name)
    agreed = read_mask(tmp_path / name, 2)
    np.testing.assert_array_equal(agreed.target, read_mask(tmp_path / name).target)
    assert agreed.target.any() and agreed.readers is None


def test_readers_are_counted(tmp_path):
    votes = ids(1, 3)
    for name, image in (("grey.png", votes.astype(np.uint8)), ("palette.png", palette(votes))):
        save_png(tmp_path / name, image)
        for readers, expected in ((1, TWO), (2, TWO & ~SQUARE), (3, TWO & ~SQUARE), (4, TWO & False)):
            mask = read_mask(tmp_path / name, readers)
            np.testing.assert_array_equal(mask.target, expected)
            assert mask.readers == 3


def test_small_depths_of_png_count_readers(tmp_path):
    """2 bits a pixel, which decoders spread to 0, 85, 170, 255."""
    from test_raster import png

    path = tmp_path / "two.png"
    path.write_bytes(png(4, 1, 2, 0, [bytes([0b00011011])]))
    assert read_mask(path, 2).target.tolist() == [[False, False, True, True]]


def test_ids_count_no_readers(tmp_path):
    cv2.imwrite(str(tmp_path / "ids.png"), ids(300, 7).astype(np.uint16))
    with pytest.raises(InputError, match=r"has values up to 300, and train.readers is 2; wanted: how many readers"):
        read_mask(tmp_path / "ids.png", 2)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_mask_is_turned_upright_as_its_picture_is(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a, -1)}[orientation]
    for name in ("mask.png", "mask.jpg"):
        Image.fromarray(BINARY).save(tmp_path / name, exif=exif, **({"quality": 100} if name.endswith("jpg") else {}))
        np.testing.assert_array_equal(read_mask(tmp_path / name).target, turn(SQUARE))
    save_tiff(tmp_path / "mask.tif", BINARY, extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif").target, turn(SQUARE))
    palette(ids(1, 2)).save(tmp_path / "palette.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.png").target, turn(TWO))


NOISE = np.random.default_rng(0).integers(0, 255, (ROWS, COLS, 3)).astype(np.uint8)
REFUSED = {
    "overlay.png": (lambda path: save_png(path, NOISE), "colours: no mask; wanted: at most 64 colours on black"),
    "flood.png": (
        lambda path: save_png(path, np.where(SQUARE[..., None], [255, 0, 0], [68, 1, 84]).astype(np.uint8)),
        "black nowhere: no mask",
    ),
    "small.jpg": (lambda path: Image.fromarray(SQUARE.astype(np.uint8) * 9).save(path), "in a lossy format"),
    "range.tif": (lambda path: save_tiff(path, NOISE[..., 0] / np.float32(7)), "are no whole numbers; wanted: labels"),
    "pages.tif": (lambda path: tifffile.imwrite(path, np.stack([BINARY] * 2), photometric="minisblack"), "2 pages"),
    "text.png": (lambda path: path.write_text("no mask"), "is not a readable mask"),
    "cut.png": (
        lambda path: path.write_bytes(cv2.imencode(".png", NOISE)[1].tobytes()[:900]), "truncated or corrupt"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_no_mask_is_refused_in_one_line(tmp_path, name):
    write, message = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read_mask(tmp_path / name)
    assert "\n" not in caught.value.line and name in caught.value.line


def test_masks_that_count_no_readers_are_told_from_those_that_do(tmp_path):
    save_png(tmp_path / "one.png", SQUARE.astype(np.uint8))
    save_png(tmp_path / "two.png", SQUARE.astype(np.uint8) * 2)
    save_png(tmp_path / "none.png", SQUARE.astype(np.uint8) * 0)
    one, two, none = (read_mask(tmp_path / f"{name}.png", 2) for name in ("one", "two", "none"))
    for masks in ([one, two, none], [none], []):
        require_readers(masks, 2, "data")
    with pytest.raises(InputError, match=r"no mask of data has a pixel that 2 readers marked; the highest value is 1"):
        require_readers([one, none], 2, "data")
    require_readers([read_mask(tmp_path / "one.png", 1)], 1, "data")


def test_empty_masks_are_counted_in_words():
    some, nothing = SQUARE, SQUARE & False
    assert empty_masks([("normal", nothing), ("benign", some), ("benign", None), ("", nothing)], {"normal", ""}) is None
    text = empty_masks([("normal", nothing), ("Benign", nothing), ("malignant", nothing), ("x", some)], {"normal"})
    assert text == "2 of 4 masks have no target pixel, though their label is not normal"


def data_set(folder, mask, label="malignant"):
    """One picture of noise with a mask of any kind, in the splits train, val and test; `mask` writes the file."""
    (folder / "masks").mkdir(parents=True)
    mask[1](folder / "masks" / mask[0])
    rows = []
    for split in ("train", "val", "test"):
        cv2.imwrite(str(folder / f"{split}.png"), NOISE[..., 0])
        rows.append((split, split, label, split, f"{split}.png", f"masks/{mask[0]}"))
    lines = [("id", "split", "label", "group", "image", "mask"), *rows]
    (folder / "index.csv").write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_training_and_evaluation_read_the_same_target(tmp_path, name):
    folder = data_set(tmp_path / "set", (name, KINDS[name][0]))
    trained = load_pictures(read_index(folder, "train"), reader_of("chest-tb"), 1).masks[0]
    (judged,), _ = read_examples(folder, "train")
    np.testing.assert_array_equal(trained, judged.mask((ROWS, COLS)))
    assert trained.any() and not trained.all()


def test_binary_masks_where_readers_are_wanted(tmp_path):
    """0 and 255 are target in crops of CT as well; of 0 and 1 nothing would be left, which is refused."""
    white = data_set(tmp_path / "white", ("white.png", KINDS["white.png"][0]))
    np.testing.assert_array_equal(load_ct_pictures(read_index(white, "train"), 2).mask[0], SQUARE)
    ones = data_set(tmp_path / "ones", ("ones.png", KINDS["ones.png"][0]))
    np.testing.assert_array_equal(load_ct_pictures(read_index(ones, "train"), 1).mask[0], SQUARE)
    with pytest.raises(InputError, match="the highest value is 1; wanted: masks that count readers"):
        load_ct_pictures(read_index(ones, "train"), 2)
    with pytest.raises(InputError, match="the highest value is 1; wanted: masks that count readers"):
        read_examples(ones, "test", 2)


def test_a_mask_of_another_size_is_refused(tmp_path):
    save_png(tmp_path / "mask.png", BINARY)
    with pytest.raises(InputError, match=rf"mask.png is {ROWS}×{COLS} px; wanted: 9×{COLS} px as its picture"):
        MaskFile(tmp_path / "mask.png", 1)((9, COLS))


def test_an_evaluation_says_how_many_masks_are_empty(tmp_path):
    from medvis.learn.measuring.evaluate_pictures import evaluate_pictures

    folder = write_index(tmp_path / "set")
    save_png(folder / "masks" / "test-malignant-0.png", np.zeros((64, 64), np.uint8))
    facts = evaluate_pictures(breast(tmp_path), folder, "test", lambda *at: None).facts
    assert facts["masks"] == "1 of 12 masks have no target pixel, though their label is not normal"


def test_a_training_says_how_many_masks_are_empty(tmp_path):
    pytest.importorskip("torch")
    from tiny_pictures import whole_recipe

    from medvis.learn.training.recipe import Recipe
    from medvis.learn.training.sources import sources

    folder = data_set(tmp_path / "set", ("empty.png", lambda path: save_png(path, BINARY * 0)), "blob")
    told = []
    sources(Recipe(**whole_recipe(batch=2, repeat=2)), reader_of("chest-tb"), folder, told.append)
    assert told == ["2 of 2 masks have no target pixel, though their label is not normal"]
