"""configs/*.yaml → typed settings. Precedence: flag > YAML > default; an unknown key is an error.

A task's YAML says everything about it that is not learned. The settings of a stage are declared by the stage itself
(`Stage.Settings`) and checked by the pipeline; here they are carried as plain mappings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medvis import plugins
from medvis.core.display import DicomResults, Display
from medvis.core.report import Code
from medvis.errors import SettingsError
from medvis.tasks import SUFFIXES, task_file

_Level = Annotated[float, Field(ge=-1e6, le=1e6)]
_Width = Annotated[float, Field(gt=0, le=1e7)]
_Length = Annotated[float, Field(gt=0, le=1000)]
_Bar = Annotated[float, Field(ge=0, le=1e6)]
_Channels = Annotated[int, Field(ge=1, le=4)]


class _TaskSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Accepts(_TaskSettings):
    """Which scans a task is for. An empty list means: any.

    Attributes:
        modalities: as DICOM abbreviates them, e.g. CT.
        body_parts: as DICOM's Body Part Examined names them, e.g. CHEST.
        planes: those of slices, where a file says how they lie.
        units: of the values, e.g. HU.
        channels: 1 grey, 3 colour.
        raster: whether it takes pictures (PNG, JPEG, TIFF, BMP), which name no modality.
        auto: false where a scan's modality and body part cannot tell that this task is wanted.
    """

    modalities: list[str] = []
    body_parts: list[str] = []
    planes: list[Literal["axial", "coronal", "sagittal"]] = []
    units: list[str] = []
    channels: list[_Channels] = [1]
    raster: bool = False
    auto: bool = True


class Taxonomy(_TaskSettings):
    """What a finding of this task is called, and its SNOMED CT code.

    Attributes:
        finding: one of them, in the singular.
        code: of the finding.
        site: of the place in the body.
    """

    finding: str
    code: Code | None = None
    site: Code | None = None


class Measured(_TaskSettings):
    """How `medvis evaluate` judges the task, and what stands beside its figures. A figure is named by its key.

    Attributes:
        class_sides: two classes, (positive, negative), that the AUC tells apart; without, those not normal and normal.
        hit: least IoU with which a finding has found a lesion.
        small: share of the image below which a lesion is called small.
        bars: key of a figure → the value that it must reach.
        baselines: key of a figure → what others reach, in words; shown beside figures of `baselines_on` only.
        baselines_on: SHA-256 of the index.csv of the data set that the bars and baselines were made for.
    """

    class_sides: tuple[str, str] | None = None
    hit: float = Field(default=0.3, gt=0, lt=1)
    small: float = Field(default=0.001, gt=0, lt=1)
    bars: dict[str, _Bar] = {}
    baselines: dict[str, str] = {}
    baselines_on: str | None = None


class PictureFacts(_TaskSettings):
    """What a PNG, JPEG, TIFF or BMP image does not say of itself, and the user does.

    Attributes:
        window: center and width, in HU, of the CT window that a grey picture was saved in.
        mm_per_pixel: size of a pixel in mm; two numbers where rows and columns differ (between rows, between columns).
        unit: of the values of a volume whose file names none, such as a NIfTI.
    """

    window: tuple[_Level, _Width] | None = None
    mm_per_pixel: _Length | tuple[_Length, _Length] | None = None
    unit: Literal["HU"] | None = None

    @property
    def spacing(self) -> tuple[float, float] | None:
        """As `medvis.core.geometry.Geometry` has it."""
        size = self.mm_per_pixel
        return size if size is None or isinstance(size, tuple) else (size, size)


NOTHING_SAID = PictureFacts()


class TaskConfig(_TaskSettings):
    """One task.

    Attributes:
        task: its name.
        title: what it looks for, in what.
        kind: ``whole``: one view of each picture; ``tiled``: overlapping tiles at their own resolution.
        backend: what the model runs on: onnx, or torch where the bundle keeps its weights.
    """

    task: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    kind: Literal["whole", "tiled"]
    bundle: str | None = Field(default=None, description="Name of a registered bundle, or a folder beside the YAML")
    backend: str = "onnx"
    input_contract: Literal["obey", "ignore"] = Field(
        default="obey",
        description="Whether an image that is shown otherwise than the model learned is refused, or looked at all the "
        "same: the verdict is then 'refer'",
    )
    picture: PictureFacts = Field(default=NOTHING_SAID, description="What the user says of pictures")
    accepts: Accepts
    display: Display = Display()
    dicom: DicomResults = DicomResults()
    taxonomy: Taxonomy
    stages: dict[str, dict[str, Any]] = Field(description="Stage name → its settings, in the order they run")
    train: dict[str, Any] = Field(default={})
    evaluate: Measured = Field(default=Measured(), description="Bars, baselines and definitions of the evaluation")
    card: dict[str, Any] = Field(default={}, description="What the model's card says that is not measured")
    base: Path | None = Field(default=None, exclude=True, description="Folder of the YAML, for relative paths")

    @property
    def sha256(self) -> str:
        """Hash of what a diagnosis depends on, the order of the stages included, whatever the layout of the file."""
        body = self.model_dump(mode="json", exclude={"card", "train", "evaluate", "dicom"})
        if self.input_contract == "obey":  # as every task was before there was a choice
            del body["input_contract"]
        if self.picture == NOTHING_SAID:  # likewise
            del body["picture"]
        text = json.dumps([list(self.stages), body], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_task(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> TaskConfig:
    """A task by its name (`medvis.tasks`), or by the path of its YAML.

    Args:
        name_or_path: ``lung-nodule`` or ``./my-task.yaml``.
        overrides: dotted key → value from the command line, e.g. ``{"stages.segment.min_diameter_mm": 4}``.

    Raises:
        SettingsError: no such task, unreadable YAML, an unknown key or a wrong value, all of them at once; the YAML of
            a named task says another name.
    """
    path, body = task_body(name_or_path, overrides)
    texts = section_faults(TaskConfig, body)
    if texts:
        raise SettingsError(f"{path}: {'; '.join([*texts, *stage_faults(body)])}")
    config = TaskConfig.model_validate({**body, "base": path.resolve().parent})
    if Path(name_or_path).suffix not in SUFFIXES and config.task != name_or_path:
        raise SettingsError(f"{path} is the task '{config.task}'", f"'{name_or_path}', as it is named")
    return config


def task_body(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> tuple[Path, dict[str, Any]]:
    """The path of a task's YAML, and what stands in it with the overrides, unchecked; arguments as of `load_task`.

    Raises:
        SettingsError: no such task, unreadable YAML, or an override below a plain value.
    """
    path = Path(name_or_path)
    if path.suffix not in SUFFIXES:
        path = task_file(name_or_path).locate()
    if not path.is_file():
        raise SettingsError(f"no task file {path}")
    body = _parse(path)
    for key, value in (overrides or {}).items():
        _override(body, key, value)
    return path, body


def stage_faults(body: Mapping[str, Any]) -> list[str]:
    """Every wrong key in words of all stages of a task's body, known or not."""
    stages, texts = body.get("stages"), []
    for name, values in stages.items() if isinstance(stages, dict) else ():
        try:
            model = plugins.load("medvis.stages", str(name)).Settings
        except SettingsError as error:
            texts.append(f"stages.{name}: {error.line}")
            continue
        texts += section_faults(model, {} if values is None else values, f"stages.{name}")
    return texts


def section_faults(model: type[BaseModel], values: object, section: str = "") -> list[str]:
    """Every wrong key of one section in words; none, if it is right."""
    try:
        model.model_validate(dict(values) if isinstance(values, Mapping) else values)
    except ValidationError as error:
        return faults(error, section)
    return []


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as a `model`, or a SettingsError that names every wrong key, and what stands there."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(f"{where}: {'; '.join(faults(error))}") from error


def faults(error: ValidationError, section: str = "") -> list[str]:
    """Every wrong key below `section` in words, with the value that stands there where it is a plain one."""
    texts = []
    for fault in error.errors():
        key = ".".join(str(part) for part in (*filter(None, [section]), *fault["loc"])) or "(top level)"
        value, plain = fault["input"], isinstance(fault["input"], (str, int, float))
        texts.append(f"{key}: {fault['msg'].lower()}" + (f", not {value!r}" if plain else ""))
    return texts


def _parse(path: Path) -> dict[str, Any]:
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(body, dict):
        raise SettingsError(f"{path} holds {type(body).__name__}", "a mapping of settings")
    return body


def _override(body: dict[str, Any], key: str, value: object) -> None:
    *path, last = key.split(".")
    node = body
    for part in path:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise SettingsError(f"setting '{key}': '{part}' is not a section")
        node = child
    node[last] = value
