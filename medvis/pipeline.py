"""Resolve a task, check the order of its stages, run them, build the report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from medvis import plugins
from medvis.core.case import Case
from medvis.core.display import Display
from medvis.core.outcome import Outcome
from medvis.core.protocols import Stage
from medvis.core.scan import Scan
from medvis.errors import InputError, ModelError, SettingsError
from medvis.io.describe import plane_of
from medvis.io.open import open_scan
from medvis.model.bundle import bundle_folder, read_card
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.preprocess.picture import is_picture, with_facts
from medvis.settings import TaskConfig, load_task, stage_faults
from medvis.stages.base import Context
from medvis.stages.build import build_report
from medvis.stages.input_contract import check_settings, shown_by
from medvis.stages.window import ESTIMATED, WINDOW
from medvis.tasks import task_names

AUTO = "auto"


def load(path: str | os.PathLike[str]) -> Scan:
    """Reads one file or one series.

    Args:
        path: what holds exactly one volume, as `medvis.diagnose` takes it.

    Returns:
        The scan: `pixels` are float32 [frames, rows, cols, channels] in modality units, HU for CT.

    Raises:
        InputError: the path is absent, unreadable or no image, or holds several volumes.

    Example:
        >>> import medvis
        >>> scan = medvis.load("scan.dcm")  # doctest: +SKIP
        >>> scan.modality, scan.pixels.shape  # doctest: +SKIP
        ('CT', (1, 512, 512, 1))
    """
    return open_scan(path)


def choose_task(scan: Scan) -> str:
    """The bundled task for this scan, by modality and body part.

    Raises:
        InputError: none fits, or several do.
    """
    if scan.modality is None:
        found = f"{scan.source.path} is a picture or volume that names no modality and no body part"
        raise InputError(found, f"--task with one of {', '.join(task_names())}")
    configs = [load_task(name) for name in task_names()]
    fitting = [config.task for config in configs if config.accepts.auto and _misfit(scan, config) is None]
    if len(fitting) == 1:
        return fitting[0]
    what = f"{scan.source.path} ({_described(scan)})"
    if fitting:
        raise InputError(f"{what} fits several tasks", f"--task {' or '.join(fitting)}")
    raise InputError(f"no task for {what}", f"--task with one of {', '.join(task_names())}", "see 'medvis tasks'")


class Pipeline:
    """One task, ready to run on any number of scans: the model is loaded once, on first use.

    Args:
        task: a bundled task's name, the path of a task's YAML, or a task that is loaded already.
        overrides: dotted setting → value.
        predictor: a model to use instead of the task's own bundle.

    Raises:
        SettingsError: the settings are wrong, a stage lacks what it needs from the ones before it, or the model would
            be shown something else than it has learned (see `medvis.model.contract`).

    Example:
        >>> import medvis
        >>> pipeline = medvis.Pipeline("lung-nodule")
        >>> outcome = pipeline.outcome(medvis.load("scan.dcm"))  # doctest: +SKIP
        >>> outcome.report.verdict.decision, outcome.case.mask.shape  # doctest: +SKIP
        ('positive', (1, 512, 512))
    """

    def __init__(
        self, task: str | TaskConfig, overrides: Mapping[str, Any] | None = None, predictor: Predictor | None = None
    ) -> None:
        self.config = load_task(task, overrides) if isinstance(task, str) else task
        self.asked = task if isinstance(task, str) else task.task
        if predictor is not None:
            self.context = Context(self.config, lambda: predictor)
        else:
            self.context = Context(self.config, partial(open_model, self.config), partial(_open_card, self.config))
        texts = stage_faults({"stages": self.config.stages})
        if texts:
            raise SettingsError("; ".join(texts))
        self.stages = tuple(self._stage(name, values) for name, values in self.config.stages.items())
        _check_order(self.stages, self.config)
        self.context.stages = self.stages
        self._check_contract()

    def shown(self) -> dict[str, Any]:
        """What the stages show the model, by fields of `medvis.model.contract.InputContract`."""
        return shown_by(self.stages)

    def _check_contract(self) -> None:
        try:
            card = self.context.card
        except (ModelError, SettingsError):
            return  # the first stage that needs the model says it; `window` needs none
        if card is not None:
            check_settings(self.context)

    def accept(self, scan: Scan) -> Case:
        """The case to start from: a picture has what the user says of it (`picture` in the settings).

        Raises:
            InputError: the scan is not of a kind that this task was made for, or not what the user says.
        """
        misfit = _misfit(scan, self.config) or _many_pictures(scan, self.config)
        if misfit is not None:
            raise InputError(f"{scan.source.path} {misfit[0]}", f"{misfit[1]} for task '{self.config.task}'", misfit[2])
        return Case(scan=with_facts(scan, self.config.picture), task=self.asked)

    def run(self, case: Case, first: str | None = None, last: str | None = None) -> tuple[Case, dict[str, float]]:
        """Runs the stages from `first` to `last` (both included; None: the ends).

        Returns:
            The case after the last stage, and the seconds that each stage took.
        """
        names = [stage.name for stage in self.stages]
        start = 0 if first is None else _position(names, first, self.config)
        stop = len(names) if last is None else _position(names, last, self.config) + 1
        timings: dict[str, float] = {}
        for stage in self.stages[start:stop]:
            began = time.perf_counter()
            case = stage(case)
            timings[stage.name] = round(time.perf_counter() - began, 4)
        return case, timings

    def outcome(self, scan: Scan) -> Outcome:
        """Case, report and display settings of one scan: what the writers take."""
        case, timings = self.run(self.accept(scan))
        return self.conclude(case, timings)

    def conclude(self, case: Case, timings: Mapping[str, float] | None = None) -> Outcome:
        """The outcome of a case that has been through all stages."""
        report = build_report(case, self.context, dict(timings or {}))
        config = self.config
        display = self.display_of(case)
        return Outcome(case, report, display, config.taxonomy.site, config.dicom, picture=_picture)

    def display_of(self, case: Case) -> Display:
        """How a case is shown: in the task's window, unless that is one of a unit that the scan is not in."""
        return Display() if case.scan.fact(WINDOW, ESTIMATED) else self.config.display

    def _stage(self, name: str, values: Mapping[str, Any]) -> Stage:
        kind = plugins.load("medvis.stages", name)
        stage: Stage = kind(kind.Settings.model_validate(values or {}), self.context)
        return stage


def _picture(outcome: Outcome) -> bytes:
    from medvis.io.writers.heatmap import png  # noqa: PLC0415 - where nothing is drawn, nothing that draws is imported

    return png(outcome)


def open_model(config: TaskConfig) -> Predictor:
    """The model of a task, loaded from its bundle. Raises SettingsError or ModelError."""
    if config.bundle is None:
        raise SettingsError(f"task '{config.task}' names no bundle", "bundle: NAME or a folder")
    backend = plugins.load("medvis.backends", config.backend)
    predictor: Predictor = backend(bundle_folder(config.bundle, config.base))
    return predictor


def _open_card(config: TaskConfig) -> Card:
    if config.bundle is None:
        raise SettingsError(f"task '{config.task}' names no bundle", "bundle: NAME or a folder")
    return read_card(bundle_folder(config.bundle, config.base))


def _check_order(stages: Sequence[Stage], config: TaskConfig) -> None:
    have = {"scan"}
    for stage in stages:
        missing = [need for need in stage.needs if have.isdisjoint(need.split("|"))]
        if missing:
            lacking = ", ".join(need.replace("|", " or ") for need in missing)
            raise SettingsError(f"task '{config.task}': stage '{stage.name}' needs {lacking} before it")
        have.update(stage.gives)


def _position(names: list[str], name: str, config: TaskConfig) -> int:
    if name not in names:
        raise SettingsError(f"task '{config.task}' has no stage '{name}'", f"one of {', '.join(names)}")
    return names.index(name)


def _misfit(scan: Scan, config: TaskConfig) -> tuple[str, str, str | None] | None:
    """(found, wanted, hint) if the scan is not for this task, else None."""
    accepts = config.accepts
    if scan.modality is None:
        if not accepts.raster:
            return "is a picture without a modality", " or ".join(accepts.modalities) or "a DICOM file", None
    elif accepts.modalities and scan.modality not in accepts.modalities:
        return f"is of modality {scan.modality}", " or ".join(accepts.modalities), "see 'medvis tasks'"
    if (
        scan.modality is not None
        and scan.body_part
        and accepts.body_parts
        and not _shows(scan.body_part, accepts.body_parts)
    ):
        return f"shows {scan.body_part}", " or ".join(accepts.body_parts), "see 'medvis tasks'"
    if accepts.channels and scan.channels not in accepts.channels:
        found = "is grey (1 channel)" if scan.channels == 1 else f"has {scan.channels} channels"
        return found, " or ".join(str(count) for count in accepts.channels), None
    return _misplaced(scan, config)


def _many_pictures(scan: Scan, config: TaskConfig) -> tuple[str, str, str | None] | None:
    """A task of whole images gives one answer a scan: of slices of a picture file, each would want its own."""
    if config.kind != "whole" or not is_picture(scan) or scan.frames == 1:
        return None
    return f"is a stack of {scan.frames} pictures", "one picture", "save each as a file of its own"


def _misplaced(scan: Scan, config: TaskConfig) -> tuple[str, str, str | None] | None:
    """As `_misfit`, of what the slices of a scan are slices of."""
    if LOCALIZER in (str(kind).upper() for kind in scan.source.details.get("image_type", ())):
        return "is a localizer (Image Type), which shows where slices were planned", "the slices themselves", None
    plane = (plane_of(scan.geometry.orientation) or "").removeprefix("oblique, nearest to ")
    if config.accepts.planes and plane and plane not in config.accepts.planes:
        return f"shows {plane} slices", " or ".join(config.accepts.planes), "give the series as it was acquired"
    return None


# PS3.3 C.8.2.1.1.1: value 3 of Image Type.
LOCALIZER = "LOCALIZER"


def _shows(body_part: str, accepted: list[str]) -> bool:
    """Scanners write CHEST, CHEST_TO_PELVIS, THORAX/LUNG …: one accepted word in it is enough."""
    return any(word in body_part for word in accepted)


def _described(scan: Scan) -> str:
    return f"modality {scan.modality}, body part {scan.body_part or 'not given'}"
