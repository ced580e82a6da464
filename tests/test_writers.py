"""Every registered writer passes one sweep, whichever package it comes from."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import results_maker as make
from tiny_bundle import pipeline_of
from tiny_whole import CHEST, Tones, patch, picture, write_whole

from medvis import plugins
from medvis.batch.publish import check_scan, publish
from medvis.core.protocols import Writer
from medvis.errors import MedvisError, OutputError

NAMES = plugins.names("medvis.writers")


def writer_of(name: str) -> Writer:
    return plugins.create("medvis.writers", name, Writer)


def with_others(name: str) -> list[Writer]:
    """The writer behind those whose files it looks at."""
    return [*(writer for other in writer_of(name).after for writer in with_others(other)), writer_of(name)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """A series with findings and without, one frame, a picture, and a picture that is classified as a whole."""
    folder = tmp_path_factory.mktemp("sources")
    grey = np.where(make.hounsfield()[2] > 0, 30, 220).astype(np.uint8)
    cv2.imwrite(str(folder / "picture.png"), grey)
    task = write_whole(tmp_path_factory.mktemp("whole"))
    whole = pipeline_of(task, predictor=Tones(CHEST, {"tuberculosis": (20, 0.9)}))
    return {
        "series": make.outcome_of(make.series(folder / "series")),
        "nothing": make.outcome_of(make.series(folder / "nothing", balls=False)),
        "frame": make.outcome_of(make.picture(folder / "frame.dcm"), inverted=True, **make.RASTER),
        "picture": make.outcome_of(folder / "picture.png", inverted=True, **make.RASTER),
        "classes": whole.outcome(picture(patch())),
    }


KINDS = ("series", "nothing", "frame", "picture", "classes")


def may_write(writer: Writer, scan) -> bool:
    """Whether the writer takes results of the scan at all; if not, it must say so in one line."""
    try:
        check_scan(scan, [writer])
    except OutputError as error:
        assert "\n" not in error.line
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_writer_says_what_it_writes(name):
    writer = writer_of(name)
    assert writer.name == name
    assert set(writer.after) <= set(NAMES) - {name}
    for frames in (1, 2, 500):
        assert writer.files(frames) and writer.files(frames) == writer.files(frames)
        assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file) for file in writer.files(frames))


def test_no_two_writers_write_one_file():
    for frames in (1, 2):
        files = [file for name in NAMES for file in writer_of(name).files(frames)]
        assert len(files) == len(set(files))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_was_said_and_lies_in_the_folder(outcomes, tmp_path, name, kind):
    outcome = outcomes[kind]
    if not may_write(writer_of(name), outcome.case.scan):
        with pytest.raises(MedvisError):
            writer_of(name).write(outcome, tmp_path)
        assert not list(tmp_path.iterdir())
        return
    able = [writer for writer in with_others(name) if writer.applies(outcome)]
    written = []
    for out in ("first", "second"):
        (tmp_path / out).mkdir()
        for writer in able:
            paths = writer.write(outcome, tmp_path / out)
            assert [path.relative_to(tmp_path / out).name for path in paths] == list(
                writer.files(outcome.case.scan.frames)
            )
        written.append({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()})
    assert written[0] == written[1], "the same outcome gives the same bytes"
    assert set(written[0]) == {file for writer in able for file in writer.files(outcome.case.scan.frames)}
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_where_it_does_not_apply_nothing_is_published(outcomes, tmp_path, name, kind):
    outcome, writer = outcomes[kind], writer_of(name)
    if writer.applies(outcome) and not may_write(writer, outcome.case.scan):
        with pytest.raises(OutputError):
            publish(outcome, tmp_path / "out", [writer], force=False)
        assert not (tmp_path / "out").exists()
        return
    published = publish(outcome, tmp_path / "out", with_others(name), force=False)
    names = {path.name for path in published}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    assert (set(writer.files(outcome.case.scan.frames)) <= names) is writer.applies(outcome)


def test_a_writer_comes_after_those_whose_files_it_looks_at(outcomes, tmp_path):
    ran = []

    class Spy(Writer):
        def files(self, outcome_frames):
            return (f"{self.name}.txt",)

        def write(self, outcome, folder):
            ran.append(self.name)
            (folder / f"{self.name}.txt").touch()
            return [folder / f"{self.name}.txt"]

    def spy(name, *after):
        return type("Named", (Spy,), {"name": name, "after": after})()

    publish(outcomes["series"], tmp_path / "a", [spy("c", "b"), spy("b", "a", "absent"), spy("a"), spy("d")], False)
    assert ran == ["a", "d", "b", "c"]
    with pytest.raises(OutputError, match="the writers a, b wait for each other"):
        publish(outcomes["series"], tmp_path / "b", [spy("a", "b"), spy("b", "a")], False)
