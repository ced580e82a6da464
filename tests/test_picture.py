"""The parts of a picture: text that fits, slices in their window, evidence that leaves the anatomy, true lengths."""

import unicodedata
from dataclasses import replace

import cv2
import numpy as np
import pytest
from case_maker import make_case
from hypothesis import given
from hypothesis import strategies as st

from medvis.core.display import Display
from medvis.core.geometry import Geometry
from medvis.core.scan import DisplayWindow
from medvis.io.colours import BACKGROUND, DARK, PREDICTION, TEXT
from medvis.io.picture import overview
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.panel import draw_findings, draw_numbers, draw_scale, draw_sides, side_names
from medvis.io.picture.region import Region
from medvis.io.picture.slices import FADE_FROM, THIN, VISIBLE_FROM, Slices, View, laid_over
from medvis.io.picture.text import LINE_HEIGHT, READABLE, broken, drawable, fitted, ink, width_of, wrapped
from medvis.ops.window import voi_linear, voi_sigmoid

LUNG = Display(center=-600.0, width=1500.0, name="lung")
FULL = Display()
WORDS = st.text(max_size=60)


def without_windows(case):
    """The case of a file that gives no window."""
    return replace(case, scan=replace(case.scan, windows=()))


@given(WORDS, st.integers(20, 300), st.booleans())
def test_a_fitted_text_fits(text, width, middle):
    short = fitted(text, 15, width, middle)
    assert width_of(short, 15) <= width
    if width_of(text, 15) <= width:
        assert short == drawable(text)


@given(WORDS, st.integers(30, 300), st.integers(1, 4))
def test_a_wrapped_text_fits_and_keeps_its_words(text, width, lines):
    found = wrapped(text, 14, width, lines)
    assert len(found) <= lines
    assert all(width_of(line, 14) <= width for line in found)
    if "…" not in "".join(found) + text:
        assert " ".join(found).split() == drawable(text).split()


@given(st.text("aäβЖ頭 -_.", max_size=300), st.integers(60, 300), st.integers(1, 3))
def test_a_broken_name_fits_and_leaves_out_its_middle_alone(name, width, lines):
    found = broken(name, 21, width, lines)
    assert len(found) <= lines
    assert all(width_of(line, 21) <= width for line in found)
    bare = drawable(name).replace(" ", "")
    shown = "".join(found).replace(" ", "")
    if "…" not in shown:
        assert shown == bare
    else:
        head, tail = shown.split("…")
        assert bare.startswith(head) and bare.endswith(tail)


def test_signs_have_stand_ins_and_names_are_cut_inside():
    assert drawable("−600 – 1500\nmm² Schädel 头") == "-600 - 1500 mm2 Schädel \\u5934"
    assert drawable("Łódź Ærø µm ą") == "Lódź AEro um a"
    assert drawable("u\u0308") == "ü", "as macOS stores the names of files"
    assert drawable("肺") != drawable("肝")  # names in other scripts stay apart
    assert drawable("한") == "\\ud55c"
    name = fitted("series-of-a-patient-number-0017.dcm", 15, 160, middle=True)
    assert name.startswith("series")
    assert name.endswith(".dcm")


ACCENTED = {"äëöüÄÖÜ": 2, "áéóúńźÉÓ": 1, "àèùÀ": 1, "âêôûÂ": 1, "ñõãÑ": 1, "čšžŠ": 1, "åÅ": 1, "őűŐ": 2, "żėŻ": 1}


def inked(text):
    """A line on a plane of its own, whose base line is row 40 and begins at column 10."""
    coverage, right, down = ink(text, READABLE)
    plane = np.zeros((60, 60), np.uint8)
    plane[40 + down : 40 + down + coverage.shape[0], 10 + right : 10 + right + coverage.shape[1]] = coverage
    return plane


@pytest.mark.parametrize("letter", "".join(ACCENTED))
def test_an_accent_stands_above_its_letter_apart_from_it_and_within_its_line(letter):
    plain = unicodedata.normalize("NFD", letter)[0]
    assert width_of(letter, READABLE) == width_of(plain, READABLE)
    marked, bare = inked(letter), inked(plain)
    top = np.flatnonzero(bare.any(axis=1))[0]
    assert (marked[top:] == bare[top:]).all(), "the letter itself is as without an accent"
    assert not marked[top - 1].any(), "a gap between them"
    (marks,) = (count for letters, count in ACCENTED.items() if letter in letters)
    assert cv2.connectedComponents((marked[:top] > 60).astype(np.uint8))[0] - 1 == marks
    centre = np.average(np.arange(60), weights=marked[:top].sum(0, dtype=float))
    assert centre == pytest.approx(np.flatnonzero(bare.any(axis=0)).mean(), abs=2)
    assert np.flatnonzero(marked.any(axis=1))[0] >= 40 - (LINE_HEIGHT - 5), "clear of what hangs below the line above"


def test_an_accent_takes_the_place_of_a_dot_and_a_cedilla_hangs_below():
    low = np.flatnonzero(inked("x").any(axis=1))[0]
    for letter in "íïîì":
        marked, bare = inked(letter), inked("i")
        assert not marked[low - 1].any() and marked[: low - 1].any()
        assert (marked[low:] == bare[low:]).all() and (marked[:low] != bare[:low]).any(), f"{letter}: a stem, no dot"
    assert (inked("ç")[:41] == inked("c")[:41]).all() and inked("ç")[41:].any()


@given(st.text("aäÅçí řű頭", min_size=1, max_size=40))
def test_the_ink_of_accents_stays_within_the_width_of_the_text(text):
    coverage, right, _ = ink(text, READABLE)
    assert coverage.shape[1] + right <= width_of(text, READABLE) + 4 and right >= -4


def test_text_lands_where_it_is_put():
    for align, left in (("left", 50), ("right", 50 - width_of("HHH", 20)), ("centre", 50 - width_of("HHH", 20) // 2)):
        canvas = Canvas(120, 60)
        width = canvas.text(50, 40, "HHH", Style(20, TEXT, align))
        rows, cols = np.nonzero((canvas.pixels != BACKGROUND).any(axis=2))
        assert rows.max() == 39
        assert abs(cols.min() - left) <= 3
        assert abs(cols.max() - (left + width)) <= 4
        assert (canvas.pixels[rows, cols] >= np.array(BACKGROUND)).all()


@given(st.integers(-80, 150), st.integers(-30, 100))
def test_what_reaches_over_the_edge_is_cut(x, y):
    canvas = Canvas(100, 60)
    canvas.text(x, y, "Edge", Style(30))
    canvas.fill(Rect(x, y, 30, 30), DARK)
    canvas.dim(Rect(x, y, 30, 30))
    assert canvas.size == (100, 60)


def one_to_one(case, display, frame=0):
    slices = Slices(case, display)
    rows, cols = case.scan.shape
    return slices, View(slices.whole, Rect(0, 0, cols, rows)), frame


@pytest.mark.parametrize("inverted", [False, True])
def test_a_slice_is_shown_in_its_window(inverted):
    case = make_case(rows=40, cols=48, inverted=inverted, padding=True)
    slices, view, frame = one_to_one(case, LUNG)
    values = np.clip((case.scan.pixels[0, ..., 0].astype(float) + 1350) / 1500, 0, 1)
    wanted = (1 - values if inverted else values) * case.scan.valid[0] * 255
    picture = slices.plain(frame, view)
    assert picture.shape == (40, 48, 3)
    assert np.abs(picture - wanted[..., None]).max() <= 1
    assert (picture[~case.scan.valid[0]] == 0).all()


def test_without_a_window_everything_that_is_not_padding_is_shown():
    case = without_windows(make_case(rows=40, cols=48, padding=True))
    slices, view, frame = one_to_one(case, FULL)
    inside = slices.plain(frame, view)[case.scan.valid[0]]
    assert (inside.min(), inside.max()) == (0, 255)
    assert slices.window_words.startswith("window full range: ")
    colour = make_case(rows=40, cols=48, channels=3)
    slices, view, frame = one_to_one(colour, FULL)
    picture = slices.plain(frame, view).astype(int)
    assert picture[..., 0].mean() > picture[..., 2].mean() + 5


def with_windows(case, *by_frame):
    """The case, whose file gives each frame these windows."""
    source = replace(case.scan.source, windows_by_frame=by_frame)
    return replace(case, scan=replace(case.scan, source=source))


def test_a_task_without_a_window_shows_each_slice_in_its_own():
    """As a viewer would; the window of the task goes before, since its reader knows what to look for."""
    case = make_case(frames=3, rows=40, cols=48)
    mine = with_windows(
        case,
        [DisplayWindow(-600, 1500), DisplayWindow(0, 9)],
        [DisplayWindow(40, 400)],
        [DisplayWindow(-600, 700, "SIGMOID")],
    )
    slices, view, _ = one_to_one(mine, FULL)
    for frame, wanted in enumerate(
        [voi_linear(case.scan.pixels[0], -600, 1500), voi_linear(case.scan.pixels[1], 40, 400),
         voi_sigmoid(case.scan.pixels[2], -600, 700)]
    ):  # fmt: skip
        assert np.abs(slices.plain(frame, view)[..., :1] - 255.0 * wanted).max() <= 1
    assert slices.window_words == "window of each slice by the file"
    slices, view, _ = one_to_one(mine, LUNG)
    assert np.array_equal(slices.plain(1, view), one_to_one(case, LUNG)[0].plain(1, view))
    assert slices.window_words == "window lung: center -600, width 1500"


def test_a_slice_without_a_window_of_its_own_is_shown_whole():
    case = without_windows(make_case(frames=2, rows=40, cols=48))
    slices, view, _ = one_to_one(with_windows(case, [DisplayWindow(40, 400)], []), FULL)
    whole, _, _ = one_to_one(case, FULL)
    assert np.array_equal(slices.plain(1, view), whole.plain(1, view))
    assert not np.array_equal(slices.plain(0, view), whole.plain(0, view))


def test_one_window_of_the_file_is_for_every_slice_but_not_for_colours():
    slices, _, _ = one_to_one(make_case(frames=2, rows=40, cols=48), FULL)
    assert slices.window_words == "window of the file: center -600, width 1500"
    assert slices.window(1) == slices.window(0)
    colour = make_case(rows=40, cols=48, channels=3)
    given = replace(colour, scan=replace(colour.scan, windows=(DisplayWindow(10, 5),)))
    slices, view, frame = one_to_one(given, FULL)
    assert slices.window_words == ""
    assert np.array_equal(slices.plain(frame, view), one_to_one(colour, FULL)[0].plain(frame, view))


def test_a_constant_slice_has_a_window_too():
    case = without_windows(make_case(rows=8, cols=8, findings=0))
    flat = replace(case, scan=replace(case.scan, pixels=np.full((1, 8, 8, 1), 7, np.float32)))
    slices, view, frame = one_to_one(flat, FULL)
    assert slices.window(frame).width > 0
    assert len(np.unique(slices.plain(frame, view))) == 1


def test_weak_evidence_leaves_the_image_and_strong_evidence_stands_out():
    image = np.full((4, 256, 3), 120, np.uint8)
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (4, 1))
    shown = laid_over(image, ramp)
    weak = ramp[0] < FADE_FROM
    assert (shown[0][weak] == 120).all()
    distance = np.abs(shown[0].astype(int) - 120).sum(axis=1)
    assert distance[-1] > 60
    lightness = cv2.cvtColor(laid_over(image * 0, ramp)[:1], cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= -2).all()
    assert lightness[-1] > lightness[~weak][0] + 100


def test_what_is_called_coloured_can_be_seen_on_every_grey():
    def lab(picture):
        return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)

    greys = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (1, 1, 3))
    seen, hidden = (
        np.linalg.norm(lab(laid_over(greys, np.full((1, 256), level, np.float32))) - lab(greys), axis=2)
        for level in (VISIBLE_FROM, FADE_FROM + 0.02)
    )
    assert seen.min() > 2.3, "the just noticeable difference of CIE 1976 L*a*b* (Mahy et al. 1994)"
    assert hidden.min() < 2.3


@given(st.integers(0, 255))
def test_the_anatomy_stays_visible_under_the_strongest_evidence(grey):
    strongest = np.ones((1, 1), np.float32)
    darker = laid_over(np.full((1, 1, 3), grey, np.uint8), strongest)
    black = laid_over(np.zeros((1, 1, 3), np.uint8), strongest)
    assert abs(int(darker[0, 0, 0]) - int(black[0, 0, 0]) - 0.38 * grey) <= 2


def test_no_evidence_changes_nothing_and_nan_is_none():
    case = make_case(rows=32, cols=32)
    for evidence in (None, np.zeros((1, 32, 32), np.float32), np.full((1, 32, 32), np.nan, np.float32)):
        slices, view, frame = one_to_one(replace(case, evidence=evidence), LUNG)
        np.testing.assert_array_equal(slices.overlaid(frame, view), slices.plain(frame, view))


@given(st.integers(0, 30), st.integers(1, 9), st.integers(0, 20), st.integers(0, 30))
def test_a_pixel_is_found_where_it_is_drawn(row0, zoom, row, col):
    view = View(Region(row0, 3, row0 + 40, 53), Rect(11, 7, 50 * zoom, 40 * zoom))
    (x, y) = view.at(np.array([[row0 + row, 3 + col]], float))[0]
    assert x == pytest.approx(11 + col * zoom + (zoom - 1) / 2)
    assert y == pytest.approx(7 + row * zoom + (zoom - 1) / 2)


@pytest.mark.parametrize("spacing", [None, (0.7, 0.7), (2.0, 0.5)])
def test_a_region_keeps_its_true_shape(spacing):
    slices = Slices(make_case(rows=60, cols=90, spacing=spacing), LUNG)
    view = slices.fit(slices.whole, Rect(10, 20, 300, 300))
    height, width = 60 * (spacing or (1, 1))[0], 90 * (spacing or (1, 1))[1]
    assert view.rect.height / view.rect.width == pytest.approx(height / width, rel=0.02)
    assert Rect(10, 20, 300, 300).holds(view.rect)
    assert max(view.rect.width, view.rect.height) == 300


@pytest.mark.parametrize(("rows", "cols"), [(1, 1000), (1000, 1), (3, 900)])
def test_the_thinnest_picture_is_seen_and_said_to_be_drawn_thicker(rows, cols):
    slices = Slices(make_case(rows=rows, cols=cols, spacing=(1, 1), findings=0), LUNG)
    box = Rect(0, 0, 780, 640)
    view = slices.fit(slices.whole, box)
    assert min(view.rect.width, view.rect.height) == THIN
    assert slices.is_stretched(slices.whole, box)
    square = Slices(make_case(rows=100, cols=100, findings=0), LUNG)
    assert not square.is_stretched(square.whole, box)


@pytest.mark.parametrize("side", [1, 5, 30, 64, 512])
def test_a_close_up_lies_inside_the_image_around_the_finding(side):
    case = make_case(rows=side, cols=side, findings=1 if side > 4 else 0)
    for finding in case.findings:
        region = Slices(case, LUNG).around(finding)
        assert 0 <= region.row0 <= finding.box.row0 < finding.box.row1 <= region.row1 <= side
        assert 0 <= region.col0 <= finding.box.col0 < finding.box.col1 <= region.col1 <= side


def panel(case, side=400):
    canvas = Canvas(side, side)
    slices = Slices(case, LUNG)
    return canvas, slices, slices.fit(slices.whole, Rect(0, 0, side, side))


def test_an_outline_encloses_its_finding():
    case = make_case(rows=200, cols=200, findings=3)
    canvas, slices, view = panel(case)
    found = draw_findings(canvas, slices, 0, view, case.findings)
    assert [number for number, _ in found] == [1, 2, 3]
    for number, bounds in found:
        rows, cols = np.nonzero(case.mask[0] == number)
        assert bounds.holds(Rect(2 * cols.min(), 2 * rows.min(), 2 * np.ptp(cols), 2 * np.ptp(rows)))
        area = canvas.pixels[bounds.y : bounds.bottom, bounds.x : bounds.right]
        assert (area == PREDICTION).all(axis=2).any()
        assert not (canvas.pixels[2 * int(rows.mean()), 2 * int(cols.mean())] == PREDICTION).all()


def test_a_tiny_finding_is_ringed_not_hidden():
    case = make_case(rows=400, cols=400, findings=0)
    mask = case.mask.copy()
    mask[0, 100, 100] = 1
    finding = make_case(findings=1).findings[0].model_copy(update={"contour": [(100.0, 100.0)]})
    canvas, slices, view = panel(replace(case, mask=mask))
    before = canvas.pixels[100, 100].copy()
    ((_, bounds),) = draw_findings(canvas, slices, 0, view, [finding])
    assert bounds.width >= 12
    np.testing.assert_array_equal(canvas.pixels[100, 100], before)


def test_numbers_hide_neither_outlines_nor_each_other(monkeypatch):
    case = make_case(rows=256, cols=256, findings=7)
    canvas, slices, view = panel(case)
    found = draw_findings(canvas, slices, 0, view, case.findings)
    tags = []
    fill = canvas.fill
    monkeypatch.setattr(canvas, "fill", lambda rect, colour: (tags.append((rect, colour)), fill(rect, colour)))
    draw_numbers(canvas, view.rect, found)
    places = [rect for rect, colour in tags if colour == PREDICTION]
    assert len(places) == 7
    for index, place in enumerate(places):
        assert view.rect.holds(place)
        assert not any(place.overlaps(bounds) for _, bounds in found)
        assert not any(place.overlaps(other) for other in places[:index])


@pytest.mark.parametrize("spacing", [(0.1, 0.1), (0.7, 0.7), (3.0, 0.9)])
def test_the_scale_bar_is_as_long_as_it_says(spacing, monkeypatch):
    canvas, slices, view = panel(make_case(rows=100, cols=100, spacing=spacing))
    drawn = []
    monkeypatch.setattr(canvas, "text", lambda x, y, text, style: drawn.append(text))
    monkeypatch.setattr(canvas, "fill", lambda rect, colour: drawn.append(rect))
    (plate,) = draw_scale(canvas, slices, view, view.rect)
    label, bar = drawn
    amount, unit = label.split()
    assert unit == "mm"
    true_length = float(amount) / spacing[1] * view.px_per_col
    assert abs(bar.width - true_length) <= 0.5
    assert amount.replace(".", "").strip("0") in ("1", "2", "5")
    assert view.rect.holds(plate)


def test_without_a_spacing_there_is_no_scale_bar():
    canvas, slices, view = panel(make_case(rows=100, cols=100, spacing=None))
    before = canvas.pixels.copy()
    assert draw_scale(canvas, slices, view, view.rect) == []
    np.testing.assert_array_equal(canvas.pixels, before)


def test_the_sides_of_the_patient():
    assert side_names(np.array([1.0, 0, 0])) == ("R", "L")
    assert side_names(np.array([0, 1.0, 0])) == ("A", "P")
    assert side_names(np.array([0, 0, -1.0])) == ("H", "F")
    assert side_names(np.array([-0.8, 0.6, 0])) == ("LA", "RP")
    assert side_names(np.array([np.nan] * 3)) == ("", "")


def test_an_unknown_orientation_has_no_sides():
    case = make_case(rows=50, cols=50)
    case = replace(case, scan=replace(case.scan, geometry=Geometry((1.0, 1.0))))
    canvas, slices, view = panel(case)
    before = canvas.pixels.copy()
    assert draw_sides(canvas, slices.scan.geometry, view.rect) == []
    np.testing.assert_array_equal(canvas.pixels, before)


@given(st.integers(1, 400), st.data())
def test_the_overview_is_spread_and_has_every_key_slice(frames, data):
    keys = data.draw(st.lists(st.integers(0, frames - 1), max_size=12))
    chosen = overview.overview_frames(frames, keys)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(frames, overview.MOST_FRAMES)
    assert set(keys) <= set(chosen) <= set(range(frames))


def test_the_frame_with_the_strongest_evidence_is_shown():
    case = make_case(frames=9, rows=16, cols=16, findings=0)
    evidence = np.zeros_like(case.evidence)
    evidence[6, 3, 3] = 0.4
    assert Slices(replace(case, evidence=evidence), LUNG).brightest_frame() == 6
    assert Slices(replace(case, evidence=None), LUNG).brightest_frame() == 4
