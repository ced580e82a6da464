"""Runs `medvis diagnose` on known inputs and compares the results of two runs, say of two versions of medvis.

    python tests/compare_results.py run FOLDER [--data DATA]     # writes the results of every case below FOLDER
    python tests/compare_results.py compare OLD NEW              # says what differs; exit 1 if anything that should not

What may differ between versions of medvis with the same models: the version, the settings' hash, timings, and fields
that only the newer report has. Everything else in `report.json`, and every byte of the other results, must be equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
OBJECTS = "json,heatmap,mask,seg,sr,sc,pm"
# What may differ in report.json: the versions, and where the samples lie.
FREE = frozenset({"provenance.medvis", "provenance.config_sha256", "provenance.timings_s", "scan.path"})


def cases(data: Path | None) -> Iterator[tuple[str, list[str]]]:
    """(name, arguments of diagnose) of every case; without DATA those of the sample data alone."""
    yield "lung1", [str(SAMPLES / "lung1"), "--write", OBJECTS]
    yield "lung1-slice", [str(SAMPLES / "lung1_slice.png"), "--task", "lung-nodule"]
    if data is None:
        return
    for scan in ("LIDC-IDRI-0001", "LIDC-IDRI-0002", "Lung_Dx-A0001"):
        yield scan, [str(data / "chest-ct" / scan), "--write", OBJECTS]
    for scan in ("LIDC-IDRI-0001", "LIDC-IDRI-0002"):
        for path in sorted((data / "chest-ct" / scan).glob("*.dcm")):
            yield f"slice-{path.stem}", [str(path), "--write", OBJECTS]
    for task in ("ball-screw", "breast-ultrasound", "chest-tb", "steel"):
        # The middle one of the folder: any will do, so long as it is the same.
        images = sorted((data / task / "images").iterdir())
        yield task, [str(images[len(images) // 2]), "--task", task]


def run(folder: Path, data: Path | None) -> None:
    """Every case into a folder of its own, by the medvis that this interpreter finds."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; wanted: a new folder")
    folder, data = folder.resolve(), None if data is None else data.resolve()
    for name, arguments in cases(data):
        command = [sys.executable, "-m", "medvis", "diagnose", *arguments, "-o", str(folder / name), "--quiet"]
        subprocess.run(command, check=True, cwd=folder)  # not where another medvis may lie


def differences(old: Path, new: Path) -> list[str]:
    """One line for each difference between two folders of results that nothing excuses."""
    found = []
    files = sorted({path.relative_to(root) for root in (old, new) for path in root.rglob("*") if path.is_file()})
    for name in files:
        one, other = old / name, new / name
        if not one.is_file() or not other.is_file():
            found.append(f"{name}: only in {one.parent if one.is_file() else other.parent}")
        elif name.name == "report.json":
            found += [f"{name}: {line}" for line in _fields(_parsed(one), _parsed(other), "")]
        elif one.read_bytes() != other.read_bytes():
            found.append(f"{name}: other bytes")
    return found


def _parsed(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return body


def _fields(old: Any, new: Any, place: str) -> Iterator[str]:
    """What the old report says and the new one says otherwise; fields that only the new one has are left out."""
    if place in FREE:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            where = f"{place}.{key}" if place else key
            if key not in new:
                if where not in FREE:
                    yield f"{where} is gone"
            else:
                yield from _fields(value, new[key], where)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _fields(one, other, f"{place}[{index}]")
    elif old != new:
        yield f"{place}: {old!r} is now {new!r}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("folder", type=Path)
    runs.add_argument("--data", type=Path)
    both = commands.add_parser("compare")
    both.add_argument("old", type=Path)
    both.add_argument("new", type=Path)
    given = parser.parse_args()
    if given.command == "run":
        run(given.folder, given.data)
        return 0
    lines = differences(given.old, given.new)
    print("\n".join(lines) or "equal")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
