"""Bad input and bad places: one clear line, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, MRImageStorage, UltrasoundImageStorage, generate_uid

INPUT, OUTPUT = 3, 7


def dicom(path: Path, source: Path, **changes: object) -> Path:
    """A copy of a slice, decompressed, with some attributes changed; `pixels` are its stored values."""
    data = pydicom.dcmread(source)
    pixels = changes.pop("pixels", None)
    data.decompress()
    kind = data.pixel_array.dtype
    if pixels is not None:
        data.Rows, data.Columns = pixels.shape
        data.PixelData = pixels.astype(kind).tobytes()
    for name, value in changes.items():
        setattr(data, name, value)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.save_as(path)
    return path


def empty(folder, slices):
    (folder / "empty.dcm").write_bytes(b"")
    return folder / "empty.dcm"


def truncated(folder, slices):
    whole = slices[1].read_bytes()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) * 2 // 3])
    return folder / "truncated.dcm"


def cut_in_the_header(folder, slices):
    (folder / "header.dcm").write_bytes(slices[1].read_bytes()[:300])
    return folder / "header.dcm"


def text(folder, slices):
    (folder / "notes.dcm").write_text("Dear colleague,\nplease find the scan attached.\n" * 40)
    return folder / "notes.dcm"


def absent(folder, slices):
    return folder / "absent.dcm"


def empty_folder(folder, slices):
    (folder / "series").mkdir()
    return folder / "series"


def series_of_another_kind(folder, slices):
    (folder / "mixed").mkdir()
    for name, part in (("1", "KNEE"), ("2", "HEAD")):
        new = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid(), "BodyPartExamined": part}
        dicom(folder / "mixed" / f"{name}.dcm", slices[1], **new)
    return folder / "mixed"


def one_pixel(folder, slices):
    return dicom(folder / "one.dcm", slices[1], pixels=np.full((1, 1), 1000))


def one_pixel_picture(folder, slices):
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "one.png")
    return folder / "one.png"


def constant(folder, slices):
    return dicom(folder / "constant.dcm", slices[1], pixels=np.full((512, 512), 1000))


def constant_zero(folder, slices):
    return dicom(folder / "zero.dcm", slices[1], pixels=np.zeros((512, 512)))


def constant_picture(folder, slices):
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(folder / "grey.png")
    return folder / "grey.png"


def mr(folder, slices):
    return dicom(folder / "mr.dcm", slices[1], Modality="MR", SOPClassUID=MRImageStorage)


def ultrasound(folder, slices):
    return dicom(folder / "us.dcm", slices[1], Modality="US", SOPClassUID=UltrasoundImageStorage)


def another_body_part(folder, slices):
    return dicom(folder / "knee.dcm", slices[1], BodyPartExamined="KNEE", SOPClassUID=CTImageStorage)


def not_an_image(folder, slices):
    data = pydicom.dcmread(slices[1])
    del data.PixelData
    data.save_as(folder / "no-pixels.dcm")
    return folder / "no-pixels.dcm"


def device(folder, slices):
    return Path(os.devnull)


BAD = [
    empty, truncated, cut_in_the_header, text, absent, empty_folder, series_of_another_kind, one_pixel,
    one_pixel_picture,
    constant, constant_zero, constant_picture,
    mr, ultrasound, another_body_part, not_an_image, device,
]  # fmt: skip


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_is_one_line_and_exit_3(medvis, slices, tmp_path, make):
    path = make(tmp_path, slices)
    ran = medvis("diagnose", path, "-o", "out", "--task", "lung-nodule")
    assert str(path) in ran.error(INPUT)
    assert ran.stdout == b""
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_with_task_auto(medvis, slices, tmp_path, make):
    medvis("diagnose", make(tmp_path, slices)).error(INPUT)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("make", [empty, truncated, text, absent, empty_folder], ids=lambda make: make.__name__)
@pytest.mark.parametrize("command", ["window", "infer", "report"])
def test_bad_input_of_a_stage(medvis, slices, tmp_path, make, command):
    output = "out" if command == "report" else "x.case"
    medvis(command, make(tmp_path, slices), "-o", output).error(INPUT)
    assert list(Path().iterdir()) == []


def test_an_output_below_a_file(medvis, slices, tmp_path):
    (tmp_path / "file").write_text("mine")
    line = medvis("diagnose", slices[1], "-o", tmp_path / "file" / "out").error(OUTPUT)
    assert str(tmp_path / "file") in line
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_that_is_a_file(medvis, slices, tmp_path):
    (tmp_path / "file").write_text("mine")
    medvis("diagnose", slices[1], "-o", tmp_path / "file").error(OUTPUT)
    medvis("diagnose", slices[1], "-o", tmp_path / "file", "--force").error(OUTPUT)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_that_no_one_may_write(medvis, slices):
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc, which not even root can write")
    medvis("diagnose", slices[1], "-o", "/proc/out").error(OUTPUT)


def test_an_existing_result_is_kept_without_force(medvis, slices):
    Path("out").mkdir()
    Path("out/heatmap.png").write_text("mine")
    line = medvis("diagnose", slices[1], "-o", "out").error(OUTPUT)
    assert "out/heatmap.png" in line and "--force" in line
    assert [path.name for path in Path("out").iterdir()] == ["heatmap.png"]
    assert Path("out/heatmap.png").read_text() == "mine"
    assert medvis("diagnose", slices[1], "-o", "out", "--force").code == 0
    assert Path("out/heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_the_output_is_checked_before_the_pixels_are_read(medvis, slices, tmp_path):
    """Nobody wants to learn after an hour that the results cannot be written; an absent input is told first."""
    (tmp_path / "file").write_text("mine")
    truncated(tmp_path, slices)
    damaged = next(path for path in tmp_path.iterdir() if path.name != "file")
    medvis("diagnose", damaged, "-o", tmp_path / "file").error(OUTPUT)
    assert "does not exist" in medvis("diagnose", tmp_path / "absent.dcm", "-o", tmp_path / "file").error(INPUT)


def test_a_full_disk_behind_stdout(medvis, slices):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "medvis", "diagnose", str(slices[1]), "--json", "--quiet"]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == OUTPUT
    assert ran.stderr == "medvis: error: cannot write to standard output: No space left on device\n"


def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "medvis", "schema"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, "")


@pytest.mark.skipif(os.name != "posix", reason="a process cannot be sent Ctrl-C alone here")
def test_an_interrupt_leaves_nothing(series, tmp_path):
    slowly = ["--set", "stages.infer.tile=32", "--set", "stages.infer.overlap=24", "--set", "input_contract=ignore"]
    command = [sys.executable, "-m", "medvis", "diagnose", str(series), "-o", str(tmp_path / "out"), *slowly]
    # What a shell runs in the background ignores interrupts, and so do its children, unless told otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    _wait_for_model(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "medvis: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def _wait_for_model(process: subprocess.Popen[str]) -> None:
    """Until the process has loaded ONNX Runtime; where it cannot be seen, until it surely has."""
    loaded, end = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if not loaded.exists():
            time.sleep(10)
            return
        if "onnxruntime" in loaded.read_text(encoding="utf-8"):
            time.sleep(0.5)
            return
        time.sleep(0.05)


INTERRUPTED_IMPORT = """
import sys
class Interrupt:
    def find_spec(name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt)
from medvis.__main__ import main
main()
"""


def test_an_interrupt_before_anything_is_imported():
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "medvis: interrupted\n")


def test_a_name_that_a_terminal_would_obey(medvis, tmp_path):
    line = medvis("diagnose", tmp_path / "a\x1b[31mred\nb.dcm").error(INPUT)
    assert "\x1b" not in line


def test_a_name_that_is_not_text(slices, tmp_path):
    """File systems hold bytes; a report must come out all the same, as valid UTF-8."""
    path = os.fsencode(tmp_path) + b"/caf\xe9.dcm"
    shutil.copy(slices[1], path)
    for command in (["diagnose", "--quiet"], ["info"]):
        line = [sys.executable, "-m", "medvis", *command, "--json", path]
        ran = subprocess.run(line, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert '"path": "' in ran.stdout.decode("utf-8", "strict")


def test_files_of_many_makers_are_read_or_refused_in_one_line(medvis, shared_data):
    """Public test suites' files: every transfer syntax, odd bit depths, no meta header, RT, SEG, truncated ones."""
    files = sorted(path for path in (shared_data / "dicom").rglob("*") if path.is_file() and path.suffix != ".csv")
    assert len(files) > 100
    codes = []
    for path in files:
        ran = medvis("info", path, "--json")
        codes.append(ran.code)
        if ran.code:
            assert str(path) in ran.error(INPUT)
        else:
            assert (ran.stderr, ran.json["path"]) == ("", str(path))
    assert codes.count(0) > len(files) / 2
