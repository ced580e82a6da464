"""Damaged DICOM files, each read in a watched process: a scan or one line, in little time and memory; never a crash.

MEDVIS_FUZZ=2000 python -m pytest tests/test_fuzz.py -s     reads 2,000 and prints the figures
"""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import fuzz_maker
import pytest
from pydicom import data as pydicom_data

COUNT = int(os.environ.get("MEDVIS_FUZZ", "150"))
FIRST = int(os.environ.get("MEDVIS_FUZZ_SEED", "0"))
KEPT = os.environ.get("MEDVIS_FUZZ_KEEP")  # a folder for the files that failed
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "dicom"
LARGEST = 600_000  # bytes of a file that is damaged: most damage does not need more, and large files cost time
SECONDS, MEGABYTES = 5.0, 1024.0


def seeds() -> list[list[fuzz_maker.Whole]]:
    """Whole files by transfer syntax, so that a rare one is damaged as often as a frequent one."""
    folders = [SHARED, Path(pydicom_data.__file__).parent / "test_files"]
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())
    found: dict[str, list[fuzz_maker.Whole]] = {}
    for path in paths:
        if path.stat().st_size <= LARGEST and (file := fuzz_maker.whole(path)) is not None:
            found.setdefault(file.syntax, []).append(file)
    return [found[syntax] for syntax in sorted(found)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux does")
def test_damaged_files_are_read_or_refused(worker, tmp_path):
    by_syntax, failures, kinds = seeds(), [], Counter()
    worst = {"cpu": (0.0, ""), "wall": (0.0, ""), "mb": (0.0, "")}
    path = tmp_path / "damaged.dcm"
    for number in range(FIRST, FIRST + COUNT):
        group = by_syntax[number % len(by_syntax)]
        file = group[number // len(by_syntax) % len(group)]
        done, damaged = fuzz_maker.mutated(file, number)
        path.write_bytes(damaged)
        came = worker.read(path)
        name = f"{number} {file.name} {done}"
        kinds[came["kind"]] += 1
        worst = {key: max(found, (came[key], name)) for key, found in worst.items()}
        if problem := _problem(came):
            failures.append(f"{name}: {problem}")
            if KEPT:
                shutil.copy(path, Path(KEPT) / f"{number}.dcm")
    sys.stdout.write(f"\n{COUNT} damaged files of {len(by_syntax)} transfer syntaxes: {dict(kinds)}; worst: {worst}\n")
    assert not failures, "\n".join(failures)
    assert kinds["scan"] > COUNT // 20
    assert kinds["refused"] > COUNT // 20


def _problem(came: dict) -> str | None:
    if came["kind"] not in ("scan", "refused"):
        return f"{came['kind']}: {came['line'][-600:]}"
    if came["cpu"] > SECONDS or came["mb"] > MEGABYTES:
        return f"{came['kind']} after {came['cpu']:.1f} s with {came['mb']:.0f} MB"
    if came["kind"] == "refused":
        line = came["line"]
        return None if "\n" not in line and len(line) < 500 else f"not one line: {line}"
    return None if came["finite"] else "pixels that are not finite"
