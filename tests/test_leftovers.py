"""What a killed process leaves is swept by the next one; two that publish into one folder never mix."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from medvis.errors import OutputError
from medvis.io.private import move_in, private_folder, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no file locks of POSIX")

HOLD = """
import os, sys, time
from pathlib import Path
from medvis.io.private import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "SMITH_1960.dcm").write_text("x")
    print("made", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def held(folder: Path) -> subprocess.Popen:
    """A process that is in its private folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"made\n"
    return process


def test_a_folder_is_swept_once_its_process_is_gone_and_not_before(tmp_path):
    process = held(tmp_path)
    sweep(tmp_path)
    assert any(name.endswith("SMITH_1960.dcm") for name in names(tmp_path))
    process.kill()
    process.communicate()
    with private_folder(tmp_path) as private:
        assert [path.name for path in tmp_path.iterdir()] == [private.parent.name]
    assert names(tmp_path) == []


def test_what_only_looks_like_ours_is_left(tmp_path):
    """Without our lock file in it; with another's; a link to a folder of that kind."""
    for name in ("medvis-0123456789abcdef", ".medvis-0123456789abcde0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    (tmp_path / "medvis-0123456789abcdef" / ".lock").write_text("mine")
    (tmp_path / "medvis-0123456789abcde1").symlink_to(tmp_path / "medvis-0123456789abcdef")
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


KILLED_AT = """
import os, sys
from pathlib import Path
from medvis.io.private import move_in, private_folder
folder, count, done = Path(sys.argv[1]), int(sys.argv[2]), []
def counted(function):
    def run(*arguments):
        if len(done) == count:
            os.kill(os.getpid(), 9)
        done.append(arguments)
        return function(*arguments)
    return run
with private_folder(folder) as private:
    (private / "new").mkdir()
    for name in ("a", "b", "report.json"):
        (private / "new" / name).write_text("new")
    os.link, Path.unlink, Path.replace = counted(os.link), counted(Path.unlink), counted(Path.replace)
    move_in(private, folder, ["a", "b", "c", "report.json"], force=True)
"""


@pytest.mark.parametrize("count", range(13))
def test_a_move_that_was_killed_is_undone_or_done(count, tmp_path):
    """Killed before each single step: all is as it was, or all is new."""
    old = dict.fromkeys(("a", "c", "report.json"), "old")
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path), str(count)], check=False)
    sweep(tmp_path)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found in (old, dict.fromkeys(("a", "b", "report.json"), "new"))


def publish_marks(folder: Path, mark: str, force: bool, start: float, answers) -> None:
    with private_folder(folder) as private:
        (private / "new").mkdir()
        for name in "abc":
            (private / "new" / name).write_text(mark)
        while time.time() < start:
            pass
        try:
            move_in(private, folder, list("abc"), force)
            answers.put(mark)
        except OutputError:
            answers.put(None)


@pytest.mark.parametrize("force", [True, False])
def test_two_that_publish_into_one_folder_never_mix(force, tmp_path):
    context = multiprocessing.get_context("fork")
    for number in range(15):
        folder = tmp_path / str(number)
        folder.mkdir()
        answers, start = context.SimpleQueue(), time.time() + 0.03
        both = [context.Process(target=publish_marks, args=(folder, m, force, start, answers)) for m in "XY"]
        for process in both:
            process.start()
        said = [answers.get() for _ in both]
        for process in both:
            process.join()
        assert names(folder) == ["a", "b", "c"]
        (mark,) = {path.read_text() for path in folder.iterdir()}
        assert sorted(filter(None, said)) == (["X", "Y"] if force else [mark])


def test_deidentify_can_be_repeated_after_a_kill(slices, tmp_path):
    pytest.importorskip("dicomanonymizer", reason="the extra 'deid' is not installed")
    (tmp_path / "in").mkdir()
    for at in range(60):
        (tmp_path / "in" / f"{at}.dcm").write_bytes(slices[0].read_bytes())
    command = [
        sys.executable,
        "-m",
        "medvis",
        "deidentify",
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--quiet",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list((tmp_path / "out").rglob("*.dcm")) and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert names(tmp_path / "out") != []
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert len([name for name in names(tmp_path / "out") if name.endswith(".dcm")]) == 60
    assert [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_no_unpacked_patient(number, slices, tmp_path):
    """While an archive is read; after SIGKILL the next command sweeps."""
    (tmp_path / "tmp").mkdir()
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for at in range(40):
            archive.write(slices[0], f"SMITH_{at}.dcm")
    command = [sys.executable, "-m", "medvis", "info", str(tmp_path / "study.zip")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list((tmp_path / "tmp").rglob("SMITH_0.dcm")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        subprocess.run([sys.executable, "-m", "medvis", "schema"], env=environment, check=True, capture_output=True)
    assert names(tmp_path / "tmp") == []
