"""The process that diagnoses a queue's studies: apart from it, so that a crash, or a hang, costs one attempt.

It reads one JSON object a line from standard input, ``{"study": FOLDER, "out": FOLDER, "earlier": [FILE, …]}``, and
answers each with one line. It ends with its parent: when its standard input does, whatever it is doing.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medvis import plugins
from medvis.batch.pipelines import Pipelines
from medvis.batch.run import Batch, Failure, Input, Item, Observer
from medvis.batch.select import Selection, select_each
from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.volumes import Volumes
from medvis.dicom.read.magic import is_dicom
from medvis.errors import InputError
from medvis.io.atomic import write_atomic
from medvis.io.magic import head_of

PROBLEMS = "problems.txt"


class Diagnosis:
    """Diagnoses studies with one choice of task and writers; each task's model is loaded once.

    Args:
        task: name, path or ``auto``.
        overrides: dotted setting → value.
        writers: names.
    """

    def __init__(self, task: str, overrides: Mapping[str, Any], writers: list[str]) -> None:
        made = [plugins.create("medvis.writers", name, Writer) for name in writers]  # type: ignore[type-abstract]
        self._batch = Batch(Pipelines(task, overrides), made, "replace", selector=select_each)

    def __call__(self, study: Path, out: Path, earlier: Sequence[Path] = ()) -> dict[str, Any]:
        """Diagnoses every volume of a study that the task is for.

        Args:
            study: a folder, searched to its depth.
            out: where each volume's results get a folder.
            earlier: DICOM reports on the study that an archive has already.

        Returns:
            ``verdicts``, one a volume that was diagnosed; ``files``, the DICOM objects made; ``left_out``, how many
            volumes could not be diagnosed (why is in problems.txt, since it may quote from the data).

        Raises:
            OutputError: the results cannot be written: not for the study to blame, and worth another attempt.
        """
        answer = _Answer()
        self._batch.run([Input(study, out, tuple(earlier))], answer)
        if answer.problems:
            write_atomic(out / PROBLEMS, ("\n".join(answer.problems) + "\n").encode())
        return {"verdicts": answer.verdicts, "files": answer.files, "left_out": len(answer.problems)}


class _Answer(Observer):
    """What becomes of one study."""

    def __init__(self) -> None:
        self.verdicts: list[str] = []
        self.files: list[str] = []
        self.problems: list[str] = []

    def selected(self, volumes: Volumes, selection: Selection) -> None:
        del volumes
        self.problems += [f"{item.label}: {item.error.line}" for item in selection.left_out]

    def finished(self, item: Item, outcome: Outcome, files: Sequence[Path], seconds: float) -> None:
        del item, seconds
        self.verdicts.append(outcome.report.verdict.decision)
        self.files += [str(path) for path in files if is_dicom(head_of(path))]

    def failed(self, failure: Failure) -> None:
        """The study is to blame for what it holds, and for nothing else: any other error costs an attempt."""
        if not isinstance(failure.error, InputError):
            raise failure.error
        label = f"{failure.volume.label}: " if failure.volume is not None else ""
        self.problems.append(f"{label}{failure.error.line}")


def main() -> None:
    """``python -m medvis.batch.worker``; its first line of input is the choice of task and writers."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what native code prints must not come between
    warnings.simplefilter("ignore")
    lines = _lines()
    diagnosis = Diagnosis(**json.loads(next(lines)))
    for line in lines:
        job = json.loads(line)
        answers.write(json.dumps(_answer(diagnosis, job)) + "\n")
        answers.flush()


def _answer(diagnosis: Diagnosis, job: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a job; of an error only its kind, since its text may quote from the data."""
    try:
        return diagnosis(Path(job["study"]), Path(job["out"]), [Path(file) for file in job["earlier"]])
    except Exception as error:  # a bug must cost one attempt, not the process with its loaded models
        return {"error": type(error).__name__, "text": str(error)}


def _lines() -> Iterator[str]:
    """The lines of standard input. A thread waits for them, so that its end is noticed during a diagnosis as well."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


if __name__ == "__main__":
    main()
