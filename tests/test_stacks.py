"""Enhanced multi-frame files that hold several stacks, phases, contrasts or planes: volumes of their own."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
import results_maker
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, RLELossless

from medvis.dicom.read.reader import DicomReader
from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.open import open_scan

OBLIQUE = (1, 0, 0, 0, 0.8, 0.6)
_DIMENSIONS = {"gradient": "DiffusionGradientOrientation", "stack": "StackID"}


_GROUPS = {
    "stack": ("StackID", "FrameContentSequence"),
    "time": ("TemporalPositionIndex", "FrameContentSequence"),
    "acquisition": ("FrameAcquisitionNumber", "FrameContentSequence"),
    "echo": ("EffectiveEchoTime", "MREchoSequence"),
    "b": ("DiffusionBValue", "MRDiffusionSequence"),
    "trigger": ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    "kind": ("FrameType", "MRImageFrameTypeSequence"),
    "orientation": ("ImageOrientationPatient", "PlaneOrientationSequence"),
}


def enhanced(frames, modality="MR", **tags):
    """A multi-frame file; each frame is a dict: ``at`` (a height, or a position), and what else it says of itself.

    The value of every pixel is the number of its frame, from 0.
    """
    stored = np.arange(len(frames), dtype=np.int16)[:, None, None] * np.ones((1, 4, 5), np.int16)
    at = [frame["at"] for frame in frames]
    ds = maker.enhanced_ct(stored, [0.0] * len(frames))
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = modality, 4, "head"
    ds.FrameOfReferenceUID = maker.uid_of("reference")
    if modality == "MR":
        ds.SOPClassUID = EnhancedMRImageStorage
    names = [name for name in frames[0] if name in _DIMENSIONS]
    ds.DimensionIndexSequence = [dimension(_DIMENSIONS[name]) for name in names]
    for own, frame, place in zip(ds.PerFrameFunctionalGroupsSequence, frames, at, strict=True):
        own.PlanePositionSequence[0].ImagePositionPatient = list(place) if np.ndim(place) else [0, 0, float(place)]
        own.PixelValueTransformationSequence[0].RescaleIntercept = 0
        for name, value in frame.items():
            if name in _GROUPS:
                keyword, sequence = _GROUPS[name]
                if sequence not in own:
                    setattr(own, sequence, [Dataset()])
                setattr(own[sequence].value[0], keyword, value)
        if "FrameContentSequence" not in own:
            own.FrameContentSequence = [Dataset()]
        own.FrameContentSequence[0].DimensionIndexValues = [int(frame[name]) for name in names]
    return maker.with_tags(ds, tags)


def dimension(keyword):
    item = Dataset()
    item.DimensionIndexPointer = Tag(keyword)
    return item


def found_in(ds, tmp_path):
    """{label: (values of the frames, heights, distance of slices)} of all that can be looked at."""
    path = maker.save(ds, tmp_path / "one.dcm")
    with volumes(path) as found:
        scans = {volume.label: volume.read() for volume in found}
    return {
        label: (scan.pixels[:, 0, 0, 0].astype(int).tolist(), scan.geometry.slice_spacing)
        for label, scan in scans.items()
    }


@pytest.mark.parametrize(
    ("name", "values", "labels"),
    [
        ("time", [1, 2], ["time-1", "time-2"]),
        ("echo", [2.5, 80.0], ["echo-time-2-5", "echo-time-80-0"]),
        ("b", [0.0, 1000.0], ["b-value-0-0", "b-value-1000-0"]),
        ("trigger", [0.0, 333.0], ["trigger-time-0-0", "trigger-time-333-0"]),
        ("acquisition", [7, 11], ["acquisition-7", "acquisition-11"]),
        ("gradient", [1, 2], ["diffusion-gradient-orientation-1", "diffusion-gradient-orientation-2"]),
        ("kind", [["DERIVED", "M"], ["DERIVED", "P"]], ["type-derived-m", "type-derived-p"]),
    ],
)
def test_frames_at_the_same_place_are_told_apart(tmp_path, name, values, labels):
    """As with files of one frame each; here two images of each of three places, the upper ones first."""
    ds = enhanced([{"at": at, name: value} for at in (3, 2, 1) for value in values])
    assert found_in(ds, tmp_path) == {
        f"series-4-head-{labels[0]}": ([4, 2, 0], 1.0), f"series-4-head-{labels[1]}": ([5, 3, 1], 1.0),
    }  # fmt: skip


def test_stacks_are_apart_where_they_are_at_other_angles(tmp_path):
    """Two discs of a spine: no axis of one is an axis of the other."""
    flat = [{"at": at, "stack": "1", "orientation": list(maker.AXIAL)} for at in (0, 2, 4)]
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    tilted = [{"at": 50 + 3 * step * normal, "stack": "2", "orientation": list(OBLIQUE)} for step in range(4)]
    found = found_in(enhanced(flat + tilted), tmp_path)
    assert sorted(found.values(), key=str) == [([0, 1, 2], 2.0), ([3, 4, 5, 6], pytest.approx(3.0))]
    assert [label.rpartition("head-")[2] for label in found] == [
        "oblique-stack-2", "axial-stack-1",
    ]  # fmt: skip
    scan = open_scan(tmp_path / "one.dcm", "series-4-head-oblique-stack-2")
    np.testing.assert_allclose(scan.geometry.orientation, OBLIQUE)
    assert scan.geometry.to_patient(1, 2, 3) == pytest.approx(
        tuple(50 + 3 * normal + 3 * 0.4 * np.array(OBLIQUE[:3]) + 2 * 0.5 * np.array(OBLIQUE[3:]))
    )


def test_stacks_are_apart_where_they_continue_each_other(tmp_path):
    """Slices 2 mm apart all the way: only the file knows that these are two slabs."""
    ds = enhanced([{"at": 2 * index, "stack": str(1 + index // 3)} for index in range(6)])
    assert found_in(ds, tmp_path) == {
        "series-4-head-stack-1": ([0, 1, 2], 2.0), "series-4-head-stack-2": ([3, 4, 5], 2.0),
    }  # fmt: skip


def test_planes_are_apart_without_stacks(tmp_path):
    coronal = [{"at": (0, at, 0), "orientation": list(maker.CORONAL)} for at in (0, 4)]
    ds = enhanced([{"at": at, "orientation": list(maker.AXIAL)} for at in (0, 1, 2)] + coronal)
    found = found_in(ds, tmp_path)
    assert found == {"series-4-head-axial": ([0, 1, 2], 1.0), "series-4-head-coronal": ([3, 4], 4.0)}


def test_a_stack_for_each_frame_says_nothing(tmp_path):
    ds = enhanced([{"at": at, "stack": str(at)} for at in range(5)])
    assert found_in(ds, tmp_path) == {"one.dcm": ([0, 1, 2, 3, 4], 1.0)}


def test_phases_of_stacks_of_two_contrasts(tmp_path):
    frames = [
        {"at": at + 100 * stack, "stack": str(stack), "time": time, "echo": echo}
        for stack in (1, 2) for time in (1, 2) for echo in (5.0, 9.0) for at in range(3)
    ]  # fmt: skip
    found = found_in(enhanced(frames), tmp_path)
    assert len(found) == 8
    assert found["series-4-head-stack-2-time-1-echo-time-9-0"] == ([15, 16, 17], 1.0)


def test_a_clip_at_one_place_stays_together(tmp_path):
    """Frames over time; but another contrast is another clip."""
    clip = [{"at": 7, "time": index + 1, "trigger": 30.0 * index} for index in range(4)]
    assert found_in(enhanced(clip), tmp_path) == {"one.dcm": ([0, 1, 2, 3], None)}
    both = [{**frame, "echo": echo} for frame in clip for echo in (5.0, 9.0)]
    assert found_in(enhanced(both), tmp_path) == {
        "series-4-head-echo-time-5-0": ([0, 2, 4, 6], None), "series-4-head-echo-time-9-0": ([1, 3, 5, 7], None),
    }  # fmt: skip


def test_what_cannot_be_split_is_refused_in_a_line(tmp_path):
    path = maker.save(enhanced([{"at": at} for at in (0, 1, 2, 2, 3)]), tmp_path / "one.dcm")
    for read in (open_scan, DicomReader().read):
        with pytest.raises(InputError, match="5 images at only 4 positions, and nothing tells them apart") as caught:
            read(path)
        assert "\n" not in caught.value.line


def test_several_are_listed_and_one_is_chosen(tmp_path, medvis):
    path = maker.save(enhanced([{"at": at, "time": time} for at in range(3) for time in (1, 2)]), tmp_path / "one.dcm")
    line = medvis("window", path, "-o", "x.case", "--task", "lung-nodule").error(3)
    assert "holds 2 volumes: series-4-head-time-1 (MR, 3 x 4x5 px, 1 mm apart)" in line
    rows = [row.split("\t") for row in medvis("info", path).stdout.decode().splitlines()]
    assert [row[0] for row in rows[1:]] == ["series-4-head-time-1", "series-4-head-time-2"]
    assert rows[1][-1] == "the file has 6 frames, of which these are 3: time 1"
    facts = medvis("info", path, "--json").json
    assert [(volume["frames"], volume["files"]) for volume in facts["volumes"]] == [(3, 1), (3, 1)]
    one = medvis("info", path, "--series", "series-4-head-time-2", "--json").json
    assert (one["frames"], one["details"]["frame_numbers"]) == (3, [2, 4, 6])
    assert one["notes"][0] == "the file has 6 frames, of which these are 3: time 2"


def test_only_the_frames_that_are_wanted_are_decoded(tmp_path):
    """A damaged frame of another stack does no harm to this one."""
    ds = enhanced([{"at": at, "time": time} for at in range(2) for time in (1, 2)])
    maker.compress(ds, RLELossless)
    stream = bytearray(ds.PixelData)
    start = stream.rfind(b"\xfe\xff\x00\xe0") + 8
    stream[start : start + 4] = b"\x0f\x00\x00\x00"  # the last frame, of time 2, now claims 15 segments
    ds.PixelData = bytes(stream)
    path = maker.save(ds, tmp_path / "one.dcm")
    assert open_scan(path, "series-4-head-time-1").pixels[:, 0, 0, 0].tolist() == [0, 2]
    with pytest.raises(InputError, match="cannot be decoded"):
        open_scan(path, "series-4-head-time-2")


def test_each_volume_has_its_own_window_and_scale(tmp_path):
    ds = enhanced([{"at": at, "kind": ["ORIGINAL", "PRIMARY", kind]} for kind in "MP" for at in range(3)])
    for index, own in enumerate(ds.PerFrameFunctionalGroupsSequence):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = 10 * (1 + index // 3), 7
        own.FrameVOILUTSequence = [window]
        own.PixelValueTransformationSequence[0].RescaleType = "US" if index < 3 else "rad"
        own.PixelValueTransformationSequence[0].RescaleSlope = 1 + index // 3
    path = maker.save(ds, tmp_path / "one.dcm")
    phase = open_scan(path, "series-4-head-type-original-primary-p")
    assert (phase.unit, phase.windows[0].center, phase.pixels[:, 0, 0, 0].tolist()) == ("rad", 20, [6, 8, 10])
    assert not phase.trail[0].settings["modality_transform"].get("varies_by_frame")


def test_files_with_several_stacks_in_a_folder(tmp_path):
    for number in (1, 2):
        frames = [{"at": at, "time": time} for at in range(3) for time in (1, 2)]
        ds = enhanced(frames, SeriesNumber=number, SeriesInstanceUID=maker.uid_of("series", number))
        maker.save(ds, tmp_path / f"{number}.dcm")
    maker.save_series(tmp_path / "classic", maker.volume(), SeriesNumber=9, SeriesInstanceUID="1.2.9")
    with volumes(tmp_path) as found:
        assert [(volume.label, volume.files) for volume in found.usable()][:3] == [
            ("series-1-head-time-1", ("1.dcm",)), ("series-1-head-time-2", ("1.dcm",)),
            ("series-2-head-time-1", ("2.dcm",)),
        ]  # fmt: skip
        assert len(found) == 5
        assert found[3].read().source.frame_numbers == (2, 4, 6)


def test_only_some_frames_have_a_place(tmp_path):
    ds = enhanced([{"at": at} for at in range(3)])
    del ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    scan = open_scan(maker.save(ds, tmp_path / "one.dcm"))
    assert scan.frames == 3
    assert scan.geometry.reasons["positions"] == "only some of the frames have a position and orientation"


def test_results_refer_to_the_frames_of_their_own_stack(tmp_path):
    """Two phases of the phantom in one file: each has its own UIDs, and points at its own frames."""
    path = results_maker.enhanced(tmp_path / "one.dcm", times=2)
    made = {}
    for time in (1, 2):
        outcome = results_maker.outcome_of(path, series=f"series-3-time-{time}")
        assert len(outcome.report.findings) == 2
        out = tmp_path / f"out{time}"
        made[time] = results_maker.written(outcome, out, "seg", "sr", "sc", "pm")
        assert not results_maker.errors_of(*out.iterdir())
        for kind in ("seg", "pm"):
            shown = {
                int(own.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
                for own in made[time][kind].PerFrameFunctionalGroupsSequence
            }
            assert shown and shown <= set(range(5 * time - 4, 5 * time + 1))
        [image, *_] = results_maker.measurement_groups(made[time]["sr"])
        [source] = [item for item in image.ContentSequence if item.ValueType == "IMAGE"]
        assert list(source.ReferencedSOPSequence[0].ReferencedFrameNumber) == list(range(5 * time - 4, 5 * time + 1))
    for kind, ds in made[1].items():
        assert ds.SOPInstanceUID != made[2][kind].SOPInstanceUID
        assert ds.SeriesInstanceUID != made[2][kind].SeriesInstanceUID
