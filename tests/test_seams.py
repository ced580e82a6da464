"""A package from outside brings a writer, a stage, a task or a reader: one file and one entry point each.

Each package is put where Python looks for packages, with the metadata that an installer would write, and medvis runs
in a process of its own. Nothing of medvis knows these names.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from medvis.builtin_tasks import LUNG_NODULE
from medvis.bundles import LUNG_NODULE as BUNDLE
from medvis.io.open import open_scan

nrrd = pytest.importorskip("nrrd")
HERE = Path(__file__).parent


class Outside:
    """A place for installed packages, and what runs with them."""

    def __init__(self, folder: Path) -> None:
        self.site, self.work = folder / "site", folder / "work"
        self.site.mkdir()
        self.work.mkdir()
        # Options of the run of tests itself, such as its coverage, are not for the tests within the tests.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        self.environment = {**inherited, "PYTHONPATH": str(self.site)}

    def install(self, module: str, group: str, entry: str) -> Path:
        """The package `outside_MODULE` with that module of the folder `outside`, and its entry point."""
        package = self.site / f"outside_{module}"
        package.mkdir()
        shutil.copy(HERE / "outside" / f"{module}.py", package)
        (package / "__init__.py").touch()
        info = self.site / f"outside_{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: outside-{module}\nVersion: 1.0\n")
        name, attribute = entry.split("=")
        (info / "entry_points.txt").write_text(f"[medvis.{group}]\n{name} = {package.name}.{module}:{attribute}\n")
        return package

    def medvis(self, *arguments: object, code: int = 0, **environment: str) -> str:
        """What a command prints; it must end with that code."""
        command = [sys.executable, "-m", "medvis", *(str(argument) for argument in arguments)]
        ran = subprocess.run(
            command,
            env={**self.environment, **environment},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stderr
        return ran.stdout if code == 0 else ran.stderr

    def completed(self, words: str) -> list[str]:
        """What the shell offers for the last of these words."""
        asked = {"_MEDVIS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        return self.medvis(**asked).split()

    def sweep(self, file: str, name: str, **environment: str) -> None:
        """The tests of that file that are about the plug-in: there are some, all pass, none is skipped."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", name, str(HERE / file)]
        ran = subprocess.run(
            command,
            env={**self.environment, **environment},
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-3000:]
        assert "skipped" not in ran.stdout and "s" not in ran.stdout.split("[")[0]


@pytest.fixture
def outside(tmp_path):
    return Outside(tmp_path)


@pytest.fixture(scope="module")
def volume(short_series, tmp_path_factory):
    """The three slices of the sample series as one NRRD file."""
    scan = open_scan(short_series)
    geometry = scan.geometry
    header = {
        "space": "left-posterior-superior",
        "space directions": [
            geometry.orientation[:3] * geometry.spacing[1],
            geometry.orientation[3:] * geometry.spacing[0],
            geometry.positions[1] - geometry.positions[0],
        ],
        "space origin": geometry.positions[0],
    }
    path = tmp_path_factory.mktemp("nrrd") / "chest.nrrd"
    nrrd.write(str(path), scan.pixels[..., 0].astype(np.int16), header, index_order="C")
    return path


def report_in(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_a_writer(outside, short_series):
    outside.install("csv_writer", "writers", "csv=CsvWriter")
    assert "csv" in outside.medvis("diagnose", "--help")
    assert "csv" in outside.medvis("report", "--help")
    assert outside.completed("medvis diagnose --write json,c") == ["json,csv"]
    outside.medvis("diagnose", short_series, "-o", "out", "--write", "json,csv")
    with (outside.work / "out" / "findings.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    findings = report_in(outside.work / "out")["findings"]
    assert findings and [float(row["probability"]) for row in rows] == [item["probability"] for item in findings]
    outside.sweep("test_writers.py", "csv")


def test_a_stage(outside, short_series):
    outside.install("sharpen", "stages", "sharpen=Sharpen")
    body = yaml.safe_load(LUNG_NODULE.read_text(encoding="utf-8"))
    stages = list(body["stages"].items())
    place = 1 + [name for name, _ in stages].index("enhance")
    body["stages"] = dict([*stages[:place], ("sharpen", {"amount": 0.2}), *stages[place:]])
    (outside.work / "sharp.yaml").write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    command = ("diagnose", short_series, "-o", "out", "--task", "sharp.yaml", "--write", "json")
    assert "stages.sharpen is {amount: 0.2, sigma: 1}; wanted: absent" in outside.medvis(*command, code=4)
    outside.medvis(*command, "--set", "input_contract=ignore")
    report = report_in(outside.work / "out")
    assert report["verdict"]["decision"] == "refer", "the model has learned another view"
    trail = report["provenance"]["trail"]
    assert {"name": "sharpen", "settings": {"amount": 0.2, "sigma": 1.0}} in trail
    assert "unknown stage 'blur'" in outside.medvis(
        "diagnose", short_series, "-o", "none", "--task", "lung-nodule", "--set", "stages.blur.sigma=1", code=4
    )
    outside.sweep("test_stages.py", "sharpen")


def test_a_task_with_its_bundle(outside, short_series):
    package = outside.install("task", "tasks", "my-nodule=YAML")
    body = yaml.safe_load(LUNG_NODULE.read_text(encoding="utf-8"))
    body.update(task="my-nodule", title="My nodules", bundle="bundle")
    (package / "my-nodule.yaml").write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    shutil.copytree(BUNDLE, package / "bundle")
    card = (package / "bundle" / "card.yaml").read_text(encoding="utf-8")
    (package / "bundle" / "card.yaml").write_text(card.replace("task: lung-nodule\n", "task: my-nodule\n", 1))
    rows = [row.split("\t") for row in outside.medvis("tasks").splitlines()]
    assert [row[3] for row in rows if row[0] == "my-nodule"] == ["outside-task 1.0"]
    assert outside.completed("medvis diagnose --task my") == ["my-nodule"]
    assert "my-nodule" in outside.medvis("card", "my-nodule")
    outside.medvis("diagnose", short_series, "-o", "out", "--task", "my-nodule", "--write", "json")
    report = report_in(outside.work / "out")
    assert (report["task"], report["title"]) == ("my-nodule", "My nodules") and report["findings"]


def test_a_reader_of_files_folders_and_archives(outside, volume, short_series):
    outside.install("nrrd_reader", "readers", "nrrd=NrrdReader")
    folder = outside.work / "study"
    folder.mkdir()
    shutil.copy(volume, folder)
    shutil.make_archive(str(outside.work / "study"), "zip", folder)
    for given in (volume, folder, "study.zip"):
        facts = json.loads(outside.medvis("info", given, "--json"))
        assert (facts["format"], facts["frames"]) == ("nrrd", 3)
    reports = {}
    for given in ("study.zip", short_series):
        outside.medvis("diagnose", given, "-o", "out", "--task", "lung-nodule", "--write", "json", "--force")
        reports[given] = report_in(outside.work / "out")
    of_nrrd, of_dicom = reports.values()
    assert of_nrrd["verdict"]["decision"] == of_dicom["verdict"]["decision"]
    assert [item["probability"] for item in of_nrrd["findings"]] == pytest.approx(
        [item["probability"] for item in of_dicom["findings"]], abs=1e-3
    )
    outside.sweep("test_readers.py", "nrrd", MEDVIS_SAMPLES=str(folder))


def test_a_reader_beside_dicom(outside, volume, short_series):
    outside.install("nrrd_reader", "readers", "nrrd=NrrdReader")
    folder = outside.work / "study"
    shutil.copytree(short_series, folder)
    shutil.copy(volume, folder / "second.nrrd")
    (folder / "notes.txt").write_text("hello")
    found = json.loads(outside.medvis("info", folder, "--json"))
    labels = [item["label"] for item in found["volumes"]]
    assert len(labels) == 2 and labels[0].startswith("series-") and labels[1] == "second"
    assert found["notes"] == ["1 file(s) that are no DICOM or NRRD were ignored: notes.txt"]
    outside.medvis("diagnose", folder, "-o", "out", "--task", "lung-nodule", "--write", "json")
    formats = {path.parent.name: report_in(path.parent)["scan"]["format"] for path in outside.work.rglob("report.json")}
    assert formats == {labels[0]: "dicom", "second": "nrrd"}
