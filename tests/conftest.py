"""Fixtures that many tests share."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def worker():
    """A watched process that reads damaged files."""
    from fuzz_run import Worker

    process = Worker()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def torch_switches():
    """A training sets torch's global switches; other tests shall not feel it."""
    torch = sys.modules.get("torch")
    before = torch is not None and torch.are_deterministic_algorithms_enabled()
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.use_deterministic_algorithms(before)


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def error(self, code: int) -> str:
        """The one line that a failure must leave on stderr, beside its code."""
        assert self.code == code, self.stderr
        assert self.stderr.count("\n") == 1, self.stderr
        assert self.stderr.startswith("medvis: error: "), self.stderr
        return self.stderr.removeprefix("medvis: error: ").strip()


def canonical(text: bytes | str) -> dict:
    """A report's text without what may differ between two equal runs."""
    from medvis.core.report import Report

    return Report.model_validate_json(text).canonical()


@pytest.fixture
def medvis(capfdbinary, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Runs `medvis ARGUMENTS` in this process, in an empty folder; what native code prints is seen as well."""
    from medvis.cli.main import main

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else int(code is not None), out, err.decode())

    return run


@pytest.fixture(scope="session")
def series() -> Path:
    """The sample series: real lung CT around an annotated nodule."""
    return ROOT / "sample_data" / "lung1"


@pytest.fixture(scope="session")
def slices(series, tmp_path_factory) -> list[Path]:
    """Three single files of the sample series, under names that sort."""
    folder = tmp_path_factory.mktemp("slices")
    files = sorted(path for path in series.iterdir() if path.suffix == ".dcm")
    middle = len(files) // 2
    return [
        Path(shutil.copy(files[middle + step], folder / f"{name}.dcm"))
        for step, name in ((-1, "a"), (0, "b"), (1, "c"))
    ]


@pytest.fixture(scope="session")
def short_series(slices) -> Path:
    """A folder that is a series of three slices."""
    return slices[0].parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data that the project is measured on; not part of it."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here: the data sets are not part of the project")
    return SHARED
