"""What a start costs, and what must never be imported."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "numpy", "pydantic", "rich", "yaml", "cv2", "pydicom", "onnxruntime", "scipy", "skimage", "nibabel")
LIST_MODULES = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "


def seconds(*arguments: str) -> float:
    """Median of several runs."""
    taken = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def test_help_costs_little_more_than_the_interpreter():
    """The aim is 0.15 s on a quiet machine; the margin is for a busy one, where both grow."""
    bare = seconds("-c", "import json, inspect, subprocess")
    assert seconds("-m", "medvis", "--help") < 3 * bare + 0.15


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["diagnose", "--help"], ["report", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"{LIST_MODULES} from medvis.cli.main import main; main({arguments!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "typer" in loaded
    typers_own = {"pydantic"} if len(arguments) > 1 else set()  # typer reads a command's parameters with it
    assert not loaded & (set(HEAVY) - typers_own)


def test_import_medvis_imports_nothing_heavy():
    ran = subprocess.run(
        [sys.executable, "-c", f"{LIST_MODULES} import medvis"], capture_output=True, text=True, check=True
    )
    assert not {name.partition(".")[0] for name in ran.stderr.split()} & {*HEAVY, "typer"}


@pytest.fixture
def without_torch(tmp_path):
    """An environment where importing torch, or what only training needs, is an error."""
    for name in ("torch", "onnx", "onnxscript", "matplotlib"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')\n")
    return {**os.environ, "PYTHONPATH": str(tmp_path), "MEDVIS_TRACEBACK": "1"}


def test_the_poison_works(without_torch):
    ran = subprocess.run(
        [sys.executable, "-c", "import torch"], env=without_torch, capture_output=True, text=True, check=False
    )
    assert "torch was imported" in ran.stderr


def test_diagnose_never_imports_torch(without_torch, slices, tmp_path):
    command = [sys.executable, "-m", "medvis", "diagnose", str(slices[1]), "-o", str(tmp_path / "out")]
    ran = subprocess.run(command, env=without_torch, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "report.json").is_file()
