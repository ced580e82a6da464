"""The input contract of a model: how the images looked that it learned from. It travels with the model, on its card.

A model says something else of the same image seen through another window, another enhancement or other views, and
nobody measured what that is worth. What a pipeline shows is therefore compared with the contract: see `differences`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What the units of a scan may be for a model that learned from pictures: values without a physical scale.
PICTURE_UNITS = frozenset({"grey", "US", "RGB"})
OVERRULE = "--set input_contract=ignore looks all the same: the verdict is 'refer', and no figure of the card holds"


class _ContractModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LearnedWindow(_ContractModel):
    """A window in modality units (PS3.3 C.11.2.1.2), or a range; see `medvis.preprocess.window.WindowSettings`."""

    center: float | None = None
    width: float | None = Field(default=None, gt=0)
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] | None = None
    range: Literal["valid", "stored"] | None = None

    @model_validator(mode="after")
    def _window_or_range(self) -> LearnedWindow:
        window = (self.center, self.width, self.function)
        if any(value is None for value in window) if self.range is None else any(value is not None for value in window):
            raise ValueError("a window has center, width and function; otherwise a range is wanted")
        return self


class LearnedEnhancement(_ContractModel):
    """CLAHE with clip limit and tiles, a denoiser with its strength, or none."""

    method: Literal["clahe", "denoise", "none"]
    clip: float | None = None
    tiles: tuple[int, int] | None = None
    strength: float | None = None


class LearnedViews(_ContractModel):
    """The views that thresholds and probabilities were fitted with.

    Attributes:
        scales: scale → weight. flips: as in the settings of `infer`.
        tile, overlap, candidate_crop: in px, of a tiled task.
        spacing_mm: of the grid that a volume was resampled to; None: the scan's own.
        depth_mm: distance of the planes below and above that were shown with each slice; None: the slice alone.
    """

    scales: dict[float, float]
    flips: list[str]
    tile: int | None = None
    overlap: int | None = None
    candidate_crop: int | None = None
    spacing_mm: float | None = None
    depth_mm: float | None = None


class InputContract(_ContractModel):
    """What the graph expects: float32 [b, channels, h, w] in 0…1, h and w multiples of `multiple_of`.

    Attributes:
        unit: of the pixels that the view is made from: a modality unit such as HU; grey or RGB for pictures.
        colour: what the channels are, in their order.
        window, enhancement, views: as learned and calibrated.
        stages: settings of further stages that changed the view, by name.
    """

    channels: int
    multiple_of: int
    crop: int = Field(description="Side in px of the square view that class_logits were trained on")
    unit: str
    colour: Literal["grey", "RGB", "BGR"]
    window: LearnedWindow
    enhancement: LearnedEnhancement
    views: LearnedViews
    stages: dict[str, dict[str, Any]] = {}


class ContractDifference(NamedTuple):
    """Something that a pipeline shows in another way than the model learned it."""

    setting: str
    found: str
    learned: str

    @property
    def line(self) -> str:
        """In one line."""
        return f"{self.setting} is {self.found} instead of {self.learned}"


def differences(contract: InputContract, shown: Mapping[str, Any]) -> list[ContractDifference]:
    """Where a pipeline differs from the contract.

    Args:
        contract: of the model's card.
        shown: what the stages up to `infer` say of themselves (`BaseStage.input_contract`), by fields of the contract;
            a stage that the contract has no field for stands in ``stages`` with its settings.
    """
    compared = [
        _compared(
            "stages.window", LearnedWindow.model_validate(shown.get("window", {"range": "valid"})), contract.window
        ),
        _compared(
            "stages.enhance",
            LearnedEnhancement.model_validate(shown.get("enhancement", {"method": "none"})),
            contract.enhancement,
        ),
        *_views(shown.get("views"), contract.views),
        *_stages(shown.get("stages", {}), contract.stages),
    ]
    if contract.colour == "BGR":
        compared.append(ContractDifference("the order of the channels", "RGB", "BGR"))
    return [item for item in compared if item is not None]


def unit_differs(contract: InputContract, units: Sequence[str]) -> ContractDifference | None:
    """Whether scans of any of these units are none that the model learned from; no unit stands for all of them."""
    learned = PICTURE_UNITS if contract.unit in PICTURE_UNITS else frozenset({contract.unit})
    if units and learned.issuperset(units):
        return None
    if not units and learned is PICTURE_UNITS:
        return None  # pictures name no unit; that of each scan is compared when it is looked at
    return ContractDifference("the unit", " or ".join(units) or "any", contract.unit)


def _compared(setting: str, shown: BaseModel, learned: BaseModel) -> ContractDifference | None:
    return None if shown == learned else ContractDifference(setting, text_of(shown), text_of(learned))


def _views(shown: Mapping[str, Any] | None, learned: LearnedViews) -> Iterator[ContractDifference]:
    """Field by field, since few of many are ever changed."""
    if shown is None:
        return
    views = LearnedViews.model_validate(shown)
    names = {"spacing_mm": "resample.spacing_mm", "candidate_crop": "candidate.crop"}
    for name in LearnedViews.model_fields:
        value, wanted = getattr(views, name), getattr(learned, name)
        if value != wanted:
            yield ContractDifference(f"stages.infer.{names.get(name, name)}", _value(value), _value(wanted))


def _stages(shown: Mapping[str, Any], learned: Mapping[str, Any]) -> Iterator[ContractDifference]:
    for name in dict.fromkeys([*shown, *learned]):
        if name not in shown:
            yield ContractDifference(f"stages.{name}", "absent", _value(learned[name]))
        elif shown[name] != learned.get(name):
            yield ContractDifference(f"stages.{name}", _value(shown[name]), _value(learned.get(name, "absent")))


def text_of(model: BaseModel) -> str:
    """A part of a contract in words, e.g. ``center -150, width 2400, function LINEAR_EXACT``."""
    values = model.model_dump(exclude_none=True)
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_value(key)}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return "not set" if value is None else str(value)
