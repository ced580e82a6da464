"""The process that diagnoses: apart from the listener, so that a crash of it, or a hang, costs one attempt.

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
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from medvis import plugins
from medvis.batch.publish import publish
from medvis.core.protocols import Writer
from medvis.core.scan import Scan
from medvis.core.volumes import Volume
from medvis.dicom.read.magic import is_dicom
from medvis.errors import InputError
from medvis.io.atomic import write_atomic
from medvis.io.inputs import volumes
from medvis.io.magic import head_of
from medvis.pipeline import AUTO, Pipeline, choose_task

PROBLEMS = "problems.txt"


class Diagnosis:
    """Diagnoses studies with one choice of task and writers; each task's model is loaded once.

    Args:
        task: name, path or ``auto``.
        overrides: dotted setting → value.
        writers: names.
    """

    def __init__(self, task: str, overrides: Mapping[str, Any], writers: list[str]) -> None:
        self._task = task
        self._writers = [plugins.create("medvis.writers", name, Writer) for name in writers]  # type: ignore[type-abstract]
        self._pipeline = cache(lambda name: Pipeline(name, overrides))

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
        verdicts: list[str] = []
        files: list[str] = []
        problems: list[str] = []
        try:
            with volumes(study) as found:
                for volume in found:
                    try:
                        verdict, made = self._one(volume, out / volume.label, tuple(earlier))
                    except InputError as error:
                        problems.append(f"{volume.label}: {error.line}")
                        continue
                    verdicts.append(verdict)
                    files += [str(path) for path in made if is_dicom(head_of(path))]
        except InputError as error:
            problems.append(error.line)
        if problems:
            write_atomic(out / PROBLEMS, ("\n".join(problems) + "\n").encode())
        return {"verdicts": verdicts, "files": files, "left_out": len(problems)}

    def _one(self, volume: Volume, out: Path, earlier: tuple[Path, ...]) -> tuple[str, list[Path]]:
        if volume.sketch is not None:  # without its pixels, where that is enough to see that it does not fit
            self._for(volume.sketch).accept(volume.sketch)
        scan = volume.read()
        outcome = replace(self._for(scan).outcome(scan), earlier=earlier)
        return outcome.report.verdict.decision, publish(outcome, out, self._writers, force=True)

    def _for(self, scan: Scan) -> Pipeline:
        return self._pipeline(choose_task(scan) if self._task == AUTO else self._task)


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
