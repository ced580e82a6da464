"""The public test files that medvis is held against, what medvis reads in them, and a digest of stored pixel values."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from pydicom import data as pydicom_data

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "dicom"
BUNDLED = Path(pydicom_data.__file__).parent
TABLE = Path(__file__).with_name("corpus_digests.csv")
_SAMPLES = 24


@dataclass(frozen=True)
class Row:
    """What is known of a file.

    Attributes:
        file: ``shared/NAME``, or ``pydicom/PATH`` in pydicom's folder of data.
        syntax: transfer syntax, or empty where it has none.
        expected: ``read``, or words that the refusal must hold.
        decoder: what decoded the stored values independently.
        tolerance: how far values may be from its values.
        digest: of those values.
        samples: some of them, evenly spread, where the tolerance is above 0.
    """

    file: str
    syntax: str
    expected: str
    decoder: str = ""
    tolerance: str = ""
    digest: str = ""
    samples: str = ""

    @property
    def path(self) -> Path:
        """Where the file is."""
        folder, _, rest = self.file.partition("/")
        return (SHARED if folder == "shared" else BUNDLED) / rest


def files() -> Iterator[tuple[str, Path]]:
    """(name in the table, path) of every file of both corpora that is here."""
    if SHARED.is_dir():
        for path in sorted(SHARED.iterdir()):
            if path.name != "index.csv":
                yield f"shared/{path.name}", path
    for folder in ("test_files", "charset_files"):
        for path in sorted((BUNDLED / folder).rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                yield f"pydicom/{path.relative_to(BUNDLED).as_posix()}", path


def rows() -> list[Row]:
    """The table."""
    with TABLE.open(newline="") as stream:
        return [Row(**row) for row in csv.DictReader(stream)]


def write(table: Iterable[Row]) -> None:
    """Replaces the table."""
    with TABLE.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in table)


def digest(frames: np.ndarray) -> str:
    """Of stored values [frames, rows, cols] or [frames, rows, cols, 3], whatever their dtype."""
    kind = "<f8" if frames.dtype.kind == "f" else "<i8"
    found = hashlib.sha256(str(frames.shape).encode())
    for frame in frames:
        found.update(np.ascontiguousarray(frame, kind).tobytes())
    return found.hexdigest()[:32]


def samples(frames: np.ndarray) -> list[float]:
    """A few of the values, evenly spread."""
    flat = frames.reshape(-1)
    return [float(flat[at]) for at in np.linspace(0, flat.size - 1, _SAMPLES).astype(int)]


def stored(path: Path) -> np.ndarray:
    """The stored values that medvis reads, in the order of the file. Raises InputError."""
    from dataclasses import replace

    from medvis.dicom.read.decode import believe_codestream, stored_frames
    from medvis.dicom.read.layout import layout_of
    from medvis.dicom.read.load import load, pydicom_notes

    with pydicom_notes():
        ds = load(path).ds
        layout, _ = layout_of(ds, path)
        if believe_codestream(ds, layout):
            layout = replace(layout, signed=True)
        return np.stack(list(stored_frames(ds, layout, path)))
