"""Results appear whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from case_maker import make_outcome

from medvis.batch import publish as publishing
from medvis.batch.publish import publish
from medvis.core.protocols import Writer
from medvis.errors import OutputError
from medvis.io.atomic import check_target, whole_file, write_atomic, write_error


class Note(Writer):
    """A writer of some files with one text."""

    def __init__(self, *names, text="new", fail=None, returns=None):
        self.name, self.names, self.text, self.fail, self.returns = "note", names, text, fail, returns

    def files(self, outcome_frames):
        return self.names

    def write(self, outcome, folder):
        for name in self.names:
            (folder / name).write_text(self.text)
        if self.fail:
            raise self.fail
        return [folder / name for name in (self.names if self.returns is None else self.returns)]


@pytest.fixture(scope="module")
def outcome():
    return make_outcome(rows=32, cols=32)


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_all_files_land_and_nothing_else(outcome, tmp_path):
    folder = tmp_path / "deep" / "out"
    paths = publish(outcome, folder, [Note("report.json"), Note("b.png", "c.png")], force=False)
    assert paths == [folder / "report.json", folder / "b.png", folder / "c.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["b.png", "c.png", "report.json"]


def test_the_report_is_placed_last_and_retired_first(outcome, tmp_path, monkeypatch):
    publish(outcome, tmp_path, [Note("report.json", "a.png", text="old")], force=False)
    moves = []
    replace = Path.replace

    def spy(self, target):
        moves.append((self.parent.name == "new", self.name))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    publish(outcome, tmp_path, [Note("report.json"), Note("a.png")], force=True)
    assert moves == [(False, "report.json"), (False, "a.png"), (True, "a.png"), (True, "report.json")]
    assert content(tmp_path) == {"report.json": "new", "a.png": "new"}


@pytest.mark.parametrize("fail", [OutputError("bad"), OSError(errno.ENOSPC, "No space left on device"), RuntimeError()])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_failing_writer_leaves_the_folder_as_it_was(outcome, tmp_path, fail, fresh):
    folder = tmp_path / "a" / "out"
    if not fresh:
        publish(outcome, folder, [Note("report.json", "a.png", text="old")], force=False)
    before = content(tmp_path)
    wanted = RuntimeError if isinstance(fail, RuntimeError) else OutputError
    with pytest.raises(wanted):
        publish(outcome, folder, [Note("a.png"), Note("report.json", fail=fail)], force=True)
    assert content(tmp_path) == before
    assert (tmp_path / "a").exists() is not fresh
    assert not list(tmp_path.rglob(".medvis*"))


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_move_that_fails_is_undone(outcome, tmp_path, monkeypatch, nth):
    publish(outcome, tmp_path, [Note("report.json", "a.png", text="old")], force=False)
    replace, calls = Path.replace, []

    def failing(self, target):
        calls.append(self)
        if len(calls) == nth:
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        publish(outcome, tmp_path, [Note("report.json"), Note("a.png")], force=True)
    assert content(tmp_path) == {"report.json": "old", "a.png": "old"}


def test_a_file_that_appears_meanwhile_is_kept(outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "check_target", lambda *_: None)
    (tmp_path / "a.png").write_text("theirs")
    with pytest.raises(OutputError, match=r"a\.png has appeared meanwhile"):
        publish(outcome, tmp_path, [Note("a.png")], force=False)
    assert content(tmp_path) == {"a.png": "theirs"}


def test_an_existing_file_needs_force(outcome, tmp_path):
    (tmp_path / "a.png").write_text("old")
    with pytest.raises(OutputError, match=r"a\.png exists already; give --force") as caught:
        publish(outcome, tmp_path, [Note("a.png", "b.png")], force=False)
    assert caught.value.exit_code == 7
    assert content(tmp_path) == {"a.png": "old"}
    publish(outcome, tmp_path, [Note("a.png", "b.png")], force=True)
    assert content(tmp_path) == {"a.png": "new", "b.png": "new"}


def test_two_writers_of_one_name_are_refused(outcome, tmp_path):
    with pytest.raises(OutputError, match=r"two writers want to write a\.png"):
        publish(outcome, tmp_path, [Note("a.png"), Note("a.png")], force=True)


@pytest.mark.parametrize("returns", [(), ("a.png", "b.png"), ("../a.png",)])
def test_a_writer_must_write_what_it_promised(outcome, tmp_path, returns):
    class Odd(Note):
        def write(self, outcome, folder):
            (folder / "b.png").touch()
            return super().write(outcome, folder)

    with pytest.raises(OutputError, match="writer 'note' wrote"):
        publish(outcome, tmp_path / "out", [Odd("a.png", returns=returns)], force=False)
    assert not (tmp_path / "out").exists()


def test_the_target_is_checked_without_a_trace(tmp_path):
    check_target(tmp_path / "new" / "deep", ["a.png"], force=False)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_be(tmp_path):
    file = tmp_path / "scan.dcm"
    file.write_text("x")
    for folder in (file, file / "out", file / "out" / "deep"):
        with pytest.raises(OutputError, match=r"scan\.dcm is not a folder"):
            check_target(folder, ["a.png"], force=True)


def test_a_broken_link_a_folder_in_the_way_and_a_bad_name(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="link is not a folder"):
        check_target(tmp_path / "link", ["a.png"], force=True)
    with pytest.raises(OutputError, match=r"a\.png is a folder"):
        check_target(tmp_path, ["a.png"], force=True)
    with pytest.raises(OutputError, match="null byte"):
        check_target(tmp_path / "a\0b", ["a.png"], force=True)
    with pytest.raises(OutputError, match="shorter name"):
        check_target(tmp_path / ("x" * 300), ["a.png"], force=True)


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX's")
def test_an_unwritable_folder_even_for_root(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    folder = locked if os.geteuid() else Path("/proc")
    if not folder.is_dir():
        pytest.skip("root can write everywhere here: there is no /proc")
    with pytest.raises(OutputError, match="cannot write") as caught:
        check_target(folder / "out", ["a.png"], force=True)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(("code", "hint"), [(errno.ENOSPC, "free some space"), (errno.EROFS, "read-only")])
def test_a_full_or_read_only_disk_says_what_to_do(code, hint):
    error = write_error(Path("out"), OSError(code, os.strerror(code)))
    assert error.line.startswith(f"cannot write out: {os.strerror(code)}; ")
    assert hint in error.line
    assert "\n" not in error.line


def test_one_file_is_written_whole(tmp_path):
    path = tmp_path / "scan.case"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [item.name for item in tmp_path.iterdir()] == ["scan.case"]


def test_one_file_keeps_its_link_and_permissions(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_one_new_file_gets_the_permissions_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_device_is_written_to_and_stays_a_device():
    write_atomic(Path(os.devnull), b"x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_one_file_that_cannot_be_written(tmp_path, monkeypatch):
    for path in (tmp_path / "absent" / "a", tmp_path, Path("a\0b")):
        with pytest.raises(OutputError, match="cannot write"):
            write_atomic(path, b"x")

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        write_atomic(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())


def test_publishing_needs_no_heavy_import():
    code = (
        "import sys, medvis.batch.publish; print([m for m in ('cv2', 'PIL', 'nibabel', 'pydicom') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_writer_with_nothing_to_write_is_left_out_and_its_old_file_goes(outcome, tmp_path):
    class Idle(Note):
        def applies(self, outcome):
            return False

    (tmp_path / "mask.png").write_text("of another report")
    writers = [Note("report.json"), Idle("mask.png")]
    with pytest.raises(OutputError, match="exists already"):
        publish(outcome, tmp_path, writers, force=False)
    assert publish(outcome, tmp_path, writers, force=True) == [tmp_path / "report.json"]
    assert content(tmp_path) == {"report.json": "new"}


@pytest.mark.parametrize("durable", [True, False])
def test_a_stream_is_there_whole_or_not_at_all(tmp_path, durable):
    target = tmp_path / "a" / "b.dcm"
    with pytest.raises(ZeroDivisionError), whole_file(target, durable=durable) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert list((tmp_path / "a").iterdir()) == []
    with whole_file(target, durable=durable) as stream:
        stream.write(b"all")
        assert not target.exists()
    assert target.read_bytes() == b"all"
    assert list((tmp_path / "a").iterdir()) == [target]
