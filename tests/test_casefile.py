"""The case file: exact both ways, and never trusting what it reads."""

import io
import json
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import safetensors.numpy
from case_maker import make_case
from hypothesis import given
from hypothesis import strategies as st

from medvis.core.case import Candidates, Case, Prediction
from medvis.core.geometry import Geometry
from medvis.core.labels import Label, LabelSet
from medvis.core.protocols import Reader
from medvis.core.report import Reading
from medvis.core.scan import Scan, Source, Step
from medvis.errors import InputError, OutputError
from medvis.io.magic import head_of
from medvis.io.readers.casefile import CaseReader, load_case, read_case, save_case
from medvis.io.readers.tensors import HEADER_LIMIT, pack, unpack

OPTIONAL = {
    Case: (
        "view",
        "region",
        "prediction",
        "mask",
        "scores",
        "classes",
        "findings",
        "verdict",
        "evidence",
        "evidence_of",
    ),
    Scan: ("modality", "body_part", "valid"),
    Geometry: ("spacing", "slice_spacing", "positions", "orientation", "frame_of_reference", "stored"),
    Source: ("series_uid", "study_uid"),
    Prediction: ("logits", "logits_spread", "embedding", "distribution", "candidates"),
}
CLASSES = (Label(name="slag inclusion", kind="class"), Label(name="red iron", kind="class", normal=True))
FULL = make_case(rows=16, cols=20, frames=3, padding=True)
FULL = replace(
    FULL,
    classes=(Reading(name="slag inclusion", probability=0.75), Reading(name="red iron", probability=0.25)),
    evidence_of="slag inclusion",
    prediction=replace(
        FULL.prediction,
        logits=np.array([-0.0, np.nan], np.float32),
        logits_spread=np.array([np.inf, 1e-45], np.float32),
        embedding=np.arange(8, dtype=np.float32),
        distribution=LabelSet(CLASSES, outlines=True, temperature=1.3).distribution(np.array([0.1, 2.0])),
    ),
)
RAW = save_case(FULL)


def assert_same(one, other, place="case"):
    assert type(one) is type(other), place
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), place
        assert one.tobytes() == other.tobytes(), place
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), f"{place}.{field.name}")
    else:
        assert one == other, place


def without(thing, dropped):
    """`thing` with every field in `dropped` (as ``Class.field``) set to None, at every depth."""
    changes = {}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if f"{type(thing).__name__}.{field.name}" in dropped:
            changes[field.name] = None
        elif type(value) in OPTIONAL:
            changes[field.name] = without(value, dropped)
    return replace(thing, **changes)


NAMES = [f"{kind.__name__}.{name}" for kind, names in OPTIONAL.items() for name in names]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_round_trip_without_one_field(name):
    case = without(FULL, {name})
    raw = save_case(case)
    assert_same(load_case(raw), case)
    assert save_case(load_case(raw)) == raw


@given(st.sets(st.sampled_from(NAMES)))
def test_round_trip_without_any_fields(names):
    case = without(FULL, names)
    assert_same(load_case(save_case(case)), case)


def test_every_optional_field_is_listed_above():
    for kind, names in OPTIONAL.items():
        assert {item.name for item in fields(kind) if "None" in str(item.type)} == set(names)


@pytest.mark.parametrize(
    "options", [{"findings": 0}, {"channels": 3, "spacing": None}, {"candidates": False}, {"inverted": True}]
)
def test_round_trip_of_other_kinds(options):
    case = make_case(rows=16, cols=16, **options)
    assert_same(load_case(save_case(case)), case)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=3), st.text(max_size=20))
def test_round_trip_of_any_settings_and_texts(settings, text):
    scan = replace(FULL.scan, trail=(Step(text, settings),), notes=(text,))
    case = replace(FULL, scan=replace(scan, source=replace(scan.source, path=text, details=settings)), notes=(text,))
    assert_same(load_case(save_case(case)), case)


def test_numpy_numbers_in_settings_become_plain_ones():
    case = FULL.derive(Step("window", {"center": np.float32(-600), "count": np.int64(3), "on": np.bool_(True)}))
    assert load_case(save_case(case)).scan.trail[-1].settings == {"center": -600.0, "count": 3, "on": True}


def test_a_name_that_is_not_unicode_does_not_break_the_chain():
    case = replace(FULL, scan=replace(FULL.scan, source=replace(FULL.scan.source, path="sch\udce4del.dcm")))
    assert load_case(save_case(case)).scan.source.path == "sch?del.dcm"


def test_what_cannot_be_saved_is_said():
    with pytest.raises(OutputError, match="object is not a JSON value"):
        save_case(FULL.derive(Step("x", {"a": object()})))
    with pytest.raises(OutputError, match=r"case\.mask is int64, wanted: int32"):
        save_case(replace(FULL, mask=FULL.mask.astype(np.int64)))
    with pytest.raises(OutputError, match="at most"):
        pack({}, "key", "x" * HEADER_LIMIT)


def test_it_is_a_plain_safetensors_file():
    arrays = safetensors.numpy.load(RAW)
    np.testing.assert_array_equal(arrays["case.scan.pixels"], FULL.scan.pixels)
    assert arrays["case.region"].dtype == bool
    mine, _ = unpack(RAW, "x")
    assert {name: array.tobytes() for name, array in mine.items()} == {n: a.tobytes() for n, a in arrays.items()}


def test_arrays_are_views_and_a_stream_gives_writable_ones():
    assert not load_case(RAW).scan.pixels.flags.writeable
    case = read_case(io.BytesIO(RAW))
    assert case.scan.pixels.flags.writeable
    assert case.scan.pixels.flags.aligned
    assert_same(case, FULL)


def test_misaligned_arrays_are_copied():
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}}).encode().ljust(64)
    array = unpack(container(header, b"\1" + np.array([1, 2], "<f4").tobytes()), "x")[0]["a"]
    assert array.flags.aligned
    assert array.tolist() == [1, 2]


@given(st.integers(0, len(RAW) - 1))
def test_a_truncated_file_is_refused(length):
    with pytest.raises(InputError) as caught:
        load_case(RAW[:length], "x.case")
    assert caught.value.line.startswith("x.case")
    assert "\n" not in caught.value.line


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_header_is_refused_or_still_a_case(changes):
    data = bytearray(RAW)
    for place, value in changes:
        data[place] = value
    try:
        assert isinstance(load_case(data), Case)
    except InputError as error:
        assert "\n" not in error.line


@given(st.binary(max_size=200))
def test_noise_is_refused(data):
    with pytest.raises(InputError):
        load_case(data)


def container(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(kind="F32", shape=(1,), span=(0, 4)):
    return container({"a": {"dtype": kind, "shape": shape, "data_offsets": span}}, b"\2" * 4)


@pytest.mark.parametrize(
    "data",
    [
        (2**63).to_bytes(8, "little") + b"{}",
        container(b" " * (HEADER_LIMIT + 1)),
        container(b"[" * 100_000),
        container(b"\xff\xfe"),
        container([]),
        container({"__metadata__": {"medvis-case": 1}}),
        container({"__metadata__": []}),
        container({"a": 3}),
        entry(kind="PICKLE"),
        entry(kind=["F32"]),
        entry(shape=(-1,)),
        entry(shape=(2,)),
        entry(shape=(True,)),
        entry(shape="4"),
        entry(shape=(1,) * 70),
        entry(shape=(2**40, 2**40)),
        entry(span=(0, 5)),
        entry(span=(4, 0)),
        entry(span=(0,)),
        entry(span=(0.0, 4.0)),
        entry(kind="BOOL", shape=(4,)),
        entry(),
    ],
)
def test_a_hostile_container_is_refused(data):
    with pytest.raises(InputError) as caught:
        load_case(data)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.line


def altered(change):
    """RAW with its JSON changed by `change`, which may also return another JSON value."""
    arrays, metadata = unpack(RAW, "x")
    body = json.loads(metadata["medvis-case"])
    body = change(body) or body
    return pack(arrays, "medvis-case", json.dumps(body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.update(version=2), "version 2; wanted: 3"),
        (lambda b: b.pop("version"), "damaged"),
        (lambda b: [1], "damaged"),
        (lambda b: b.update(case=None), "damaged"),
        (lambda b: b["case"].pop("task"), "damaged"),
        (lambda b: b["case"].update(task=None), "damaged"),
        (lambda b: b["case"].update(scan=None), "damaged"),
        (lambda b: b["case"].update(mask="case.view"), r"case\.mask is float32, wanted: int32"),
        (lambda b: b["case"].update(mask="absent"), "damaged"),
        (lambda b: b["case"].update(mask=["x"]), "damaged"),
        (lambda b: b["case"].update(evidence="case.view"), r"case\.evidence has shape \[3, 16, 20, 1\]"),
        (lambda b: b["case"]["prediction"].update(embedding="case.prediction.logits"), "shape"),
        (lambda b: b["case"]["prediction"].update(labels=["a"]), "shape"),
        (lambda b: b["case"]["prediction"]["distribution"].update(ranked=[]), "at least one"),
        (lambda b: b["case"]["prediction"]["distribution"]["ranked"][0].update(index=2), "label 2 of 2"),
        (lambda b: b["case"]["scan"].update(bits="many"), "damaged"),
        (lambda b: b["case"]["scan"].update(pixels="case.prediction.logits"), "float32"),
        (lambda b: b["case"]["scan"]["geometry"].update(spacing=[0.0, 1.0]), "spacing"),
        (lambda b: b["case"]["scan"]["windows"][0].update(width=0.5), "no linear window"),
        (lambda b: b["case"]["scan"]["geometry"].update(spacing=[1.0]), "damaged"),
        (lambda b: b["case"]["scan"]["geometry"].update(slice_spacing=-1.0), "spacing"),
        (lambda b: b["case"]["findings"][0].update(last_frame=99), "frames that do not exist"),
        (lambda b: b["case"]["findings"][0].update(surprise=1), "surprise"),
        (lambda b: b["case"]["verdict"].update(decision="maybe"), "decision"),
    ],
)
def test_contradictions_are_refused(change, message):
    with pytest.raises(InputError, match=message) as caught:
        load_case(altered(change), "x.case")
    assert "\n" not in caught.value.line


def test_candidates_must_fit_each_other():
    candidates = FULL.prediction.candidates
    short = Candidates(*[getattr(candidates, item.name) for item in fields(Candidates)][:6], candidates.views[:1])
    case = replace(FULL, prediction=replace(FULL.prediction, candidates=short))
    with pytest.raises(InputError, match=r"candidates\.views has shape \[1\]"):
        load_case(save_case(case))


def test_a_safetensors_file_without_a_case():
    with pytest.raises(InputError, match="without a case"):
        load_case(safetensors.numpy.save({"weight": np.zeros(3, np.float32)}))


def test_the_reader_claims_by_content_only(tmp_path):
    reader = CaseReader()
    assert isinstance(reader, Reader)
    good, bad = tmp_path / "scan.dcm", tmp_path / "fake.case"
    good.write_bytes(RAW)
    bad.write_bytes(b"not a case")
    assert reader.format_of(head_of(good), good) == "case"
    assert reader.format_of(head_of(bad), bad) is None
    assert_same(reader.read(good), FULL.scan)
    with pytest.raises(InputError, match=r"fake\.case"):
        reader.read(bad)
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        reader.read(tmp_path / "absent")


def test_reading_needs_no_safetensors_torch_or_pickle(tmp_path):
    path = tmp_path / "x.case"
    path.write_bytes(RAW)
    code = (
        "import sys; from pathlib import Path; from medvis.io.readers.casefile import CaseReader;"
        f"CaseReader().read(Path({str(path)!r})); "
        "print([m for m in ('safetensors', 'torch', 'cv2') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
