"""What a start costs, and what must never be imported."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

HEAVY = (
    "torch",
    "numpy",
    "pydantic",
    "rich",
    "yaml",
    "cv2",
    "pydicom",
    "onnxruntime",
    "scipy",
    "skimage",
    "nibabel",
    "tifffile",
)
LIST_MODULES = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "


def modules_of(code: str) -> set[str]:
    """The modules that a process has imported when it has run this code."""
    ran = subprocess.run([sys.executable, "-c", f"{LIST_MODULES} {code}"], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


def test_help_costs_little_more_than_typer():
    """Counted in modules, since seconds depend on the machine: of medvis what prints the help, and little else."""
    own = modules_of("from medvis.cli.main import main; main(['--help'])")
    bare = modules_of("import typer, typer.core, typer.main")
    mine = {name for name in own if name.partition(".")[0] == "medvis"}
    assert mine == {"medvis", "medvis.cli", "medvis.cli.main", "medvis.cli.failures", "medvis.errors"}
    assert len(own - bare - mine) < 40


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["diagnose", "--help"], ["report", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    loaded = {name.partition(".")[0] for name in modules_of(f"from medvis.cli.main import main; main({arguments!r})")}
    assert "typer" in loaded
    typers_own = {"pydantic"} if len(arguments) > 1 else set()  # typer reads a command's parameters with it
    assert not loaded & (set(HEAVY) - typers_own)


def test_import_medvis_imports_nothing_heavy():
    assert not {name.partition(".")[0] for name in modules_of("import medvis")} & {*HEAVY, "typer"}


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


@pytest.fixture
def picture(tmp_path):
    """A chest X-ray of noise."""
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (128, 128)).astype(np.uint8))
    return path


def imported(*arguments: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    code = f"{LIST_MODULES} from medvis.cli.main import main; main({list(arguments)!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {name.partition(".")[0] for name in ran.stderr.splitlines()[-1].split()}


def test_diagnose_imports_only_the_reader_that_it_needs(picture, slices, tmp_path):
    """Every reader is asked about every file; none may bring its decoder along for that."""
    of_picture = imported("diagnose", str(picture), "--task", "chest-tb", "-o", str(tmp_path / "a"))
    assert "onnxruntime" in of_picture and not of_picture & {"pydicom", "nibabel"}
    of_dicom = imported("diagnose", str(slices[1]), "--task", "lung-nodule", "-o", str(tmp_path / "b"))
    assert "pydicom" in of_dicom and "nibabel" not in of_dicom


def test_diagnose_never_imports_torch(without_torch, slices, tmp_path):
    command = [sys.executable, "-m", "medvis", "diagnose", str(slices[1]), "-o", str(tmp_path / "out")]
    ran = subprocess.run(command, env=without_torch, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "report.json").is_file()
