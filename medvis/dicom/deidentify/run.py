"""Files in, files without identity out: all of a run together, and only into a place where nothing is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from medvis.dicom.deidentify.clean import Cleaner
from medvis.dicom.deidentify.pixels import MARKED, black_out, clear_hidden_overlays, find_text, printed_reason
from medvis.dicom.read.load import load
from medvis.dicom.read.magic import is_dicom
from medvis.dicom.read.values import text
from medvis.errors import InputError, MedvisError, OutputError
from medvis.io.atomic import check_target, write_error
from medvis.io.magic import head_of
from medvis.io.private import move_in, private_folder, sweep
from medvis.ops.text_detection import TextBox

_INDEX = "DICOMDIR"


@dataclass(frozen=True)
class Orders:
    """What to do about text in the pictures: refuse (neither), paint over what is found, or let it pass."""

    black_out_text: bool = False
    accept_burned_in: bool = False


@dataclass(frozen=True)
class Written:
    """One file that was written.

    Attributes:
        source: as it was found.
        path: where it is now.
        text: lines of text that were found in its picture, where it was searched for any.
        blacked_out: whether they were painted over.
    """

    source: Path
    path: Path
    text: tuple[TextBox, ...] = ()
    blacked_out: bool = False


@dataclass
class DeidentificationResult:
    """What became of all files; `failed` holds (path, why), `left_out` what is no DICOM file or only an index."""

    written: list[Written] = field(default_factory=list)
    failed: list[tuple[Path, MedvisError]] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)


class Deidentifier:
    """De-identifies files into a folder of numbered studies and series.

    Args:
        cleaner: with secret and profile.
        orders: about text in the pictures.
    """

    def __init__(self, cleaner: Cleaner, orders: Orders) -> None:
        self._cleaner, self._orders = cleaner, orders
        self._numbers: dict[tuple[str, ...], int] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def run(self, paths: Sequence[Path], folder: Path, tick: Callable[[int, int], None]) -> DeidentificationResult:
        """Cleans all files at the paths, folders with everything below them.

        Nothing is in `folder` before all files have been tried; one that fails does not stop the others.

        Args:
            paths: files and folders.
            folder: absent or empty.
            tick: told (done, total).

        Raises:
            InputError: a path does not exist, or there is no file.
            OutputError: the folder holds something, or cannot be written.
        """
        files = list(files_of(paths))
        if not files:
            raise InputError(f"{', '.join(map(str, paths))} holds no file", "DICOM files, or folders with some in them")
        _free(folder)
        made = not folder.exists()
        result = DeidentificationResult()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with private_folder(folder) as private:
                fresh = private / "new"
                fresh.mkdir()
                for number, path in enumerate(files):
                    tick(number, len(files))
                    self._clean_file(path, fresh, result)
                move_in(private, folder, sorted(item.name for item in fresh.iterdir()), force=False)
        except OSError as error:
            raise write_error(folder, error) from error
        finally:
            if made and folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        result.written = [_moved(written, fresh, folder) for written in result.written]
        return result

    def _clean_file(self, path: Path, private: Path, result: DeidentificationResult) -> None:
        try:
            if path.name.upper() == _INDEX or not is_dicom(head_of(path)):
                result.left_out.append(path)
                return
            result.written.append(self._cleaned(path, private))
        except MedvisError as error:
            result.failed.append((path, error))
        except OSError as error:
            result.failed.append((path, InputError(f"{path} cannot be read: {error.strerror or error}")))
        except Exception as error:  # an element of broken bytes raises whatever they lead to; its text may be a name
            result.failed.append((path, InputError(f"{path} is a corrupt DICOM file ({type(error).__name__})")))

    def _cleaned(self, path: Path, private: Path) -> Written:
        ds = load(path).ds
        if not text(ds, "SOPClassUID") or not text(ds, "SOPInstanceUID"):
            raise InputError(f"{path} has no SOP Class UID or SOP Instance UID", "a whole DICOM object")
        boxes = self._pictures(ds, path)
        try:
            self._cleaner.clean(ds)
        except InputError as error:
            raise InputError(f"{path}: {error.found}", error.wanted, error.hint) from error
        target = private / self._name(ds)
        target.parent.mkdir(parents=True, exist_ok=True)
        syntax = ds.file_meta.TransferSyntaxUID
        if not syntax.is_transfer_syntax:
            raise InputError(f"{path} is of transfer syntax {syntax}, which cannot be written", hint="convert it first")
        ds.save_as(target, enforce_file_format=True)
        return Written(path, target, tuple(boxes), self._orders.black_out_text and bool(boxes))

    def _pictures(self, ds: Dataset, path: Path) -> list[TextBox]:
        """Lines of text that were found; painted over where that is ordered. Raises InputError where nobody decided."""
        clear_hidden_overlays(ds, path)
        reason = printed_reason(ds)
        if reason is not None and not (self._orders.black_out_text or self._orders.accept_burned_in):
            raise InputError(
                f"{path} may show the patient's name: {reason}",
                "a picture without burned-in text",
                "give --black-out-text, or --accept-burned-in once you have looked at it",
            )
        marked = text(ds, "Modality") in MARKED and text(ds, "BurnedInAnnotation") != "NO" and "PixelData" in ds
        if reason is None and not marked:
            return []
        try:
            boxes = find_text(ds, path)
        except InputError:
            if self._orders.black_out_text:
                raise
            return []  # whoever accepts the picture as it is need not have it searched
        if boxes and self._orders.black_out_text:
            black_out(ds, boxes, path)
        return boxes

    def _name(self, ds: Dataset) -> str:
        """A name made of numbers: those of files and folders may hold a patient's."""
        study, series = (str(ds.get(keyword) or "") for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
        numbers = [self._number((study,), ()), self._number((study, series), (study,))]
        image = self._counts[study, series] = self._counts.get((study, series), 0) + 1
        return f"study-{numbers[0]:02d}/series-{numbers[1]:02d}/{image:04d}.dcm"

    def _number(self, key: tuple[str, ...], within: tuple[str, ...]) -> int:
        if key not in self._numbers:
            same = sum(1 for other in self._numbers if len(other) == len(key) and other[: len(within)] == within)
            self._numbers[key] = same + 1
        return self._numbers[key]


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The files at the paths, of a folder all below it by name; hidden ones are left out. Raises InputError."""
    for path in paths:
        if path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file())
            yield from (
                item for item in inside if not any(part.startswith(".") for part in item.relative_to(path).parts)
            )
        elif path.exists():
            yield path
        else:
            raise InputError(f"{path} does not exist", "DICOM files, or folders with some in them")


def _free(folder: Path) -> None:
    """Into an empty folder only: so nothing is overwritten, least of all a source."""
    check_target(folder, (), force=False)
    sweep(folder)  # what a killed run has left
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(
            f"{folder} holds files already", "a folder that is absent or empty", "choose another one with -o"
        )


def _moved(written: Written, private: Path, folder: Path) -> Written:
    return Written(written.source, folder / written.path.relative_to(private), written.text, written.blacked_out)
