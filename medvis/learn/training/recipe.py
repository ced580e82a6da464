"""The `train:` section of a task's YAML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medvis.core.labels import Label
from medvis.learn.training.augment import Augment
from medvis.nets.loss_weights import LossWeights


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainLabel(_Section):
    """One class logit and the column of index.csv that teaches it.

    The target is (value − low) / (high − low), cut to 0…1: a soft target. Without a column the target is whether the
    crop holds a lesion at all.

    Attributes:
        name: of the label.
        kind: ``class``: those exclude each other; each is right where the index's column `label` holds its name.
        normal: whether it is the class of pictures where nothing is.
        column: of index.csv; its values teach the label.
        low, high: values of that column that count as 0 and as 1.
        weight: its say in the class loss.
    """

    name: str
    kind: Literal["binary", "rating", "class"] = "binary"
    normal: bool = False
    column: str | None = None
    low: float = Field(default=0.0, ge=-1e6, le=1e6)
    high: float = Field(default=1.0, ge=-1e6, le=1e6)
    weight: float = Field(default=1.0, gt=0, le=1000)

    @model_validator(mode="after")
    def _has_a_range(self) -> TrainLabel:
        if self.low == self.high:
            raise ValueError(f"low and high are both {self.low:g}")
        return self

    def card_label(self) -> Label:
        """As the card will say it."""
        bounds = (self.low, self.high) if self.kind == "rating" else (0.0, 1.0)
        return Label(name=self.name, kind=self.kind, normal=self.normal, low=bounds[0], high=bounds[1])


class Phase(_Section):
    """Some epochs at one crop size.

    Attributes:
        size: side in px, a multiple of 32.
        epochs: how many.
        rate: starts a new cosine of the learning rate at this height; without it the phase goes on with the last one.
        classes: weight of the class loss in this phase instead of the recipe's.
    """

    size: int = Field(ge=32, le=4096, multiple_of=32)
    epochs: int = Field(ge=1, le=100_000)
    rate: float | None = Field(default=None, gt=0, le=1)
    classes: float | None = Field(default=None, ge=0, le=1000)


# oneDNN 3.12 (torch 2.13) writes past its buffer in the backward pass of a strided 1×1 convolution of fewer channels.
Width = Annotated[int, Field(ge=16, le=4096)]
Bound = Annotated[float, Field(ge=-1e6, le=1e6)]


class Network(_Section):
    """Shape of the network; `streams`, `attention` and `nested` are what the ablation switches.

    Attributes:
        widths: channels of the five levels of the detail stream.
        embedding: length of the vector that describes a view.
        streams: ``dual``: a detail and a global stream; ``detail``: the first alone.
        attention: whether channels and places are weighed (CBAM).
        nested: whether the decoder is nested (U-Net++), or plain.
        drop: DropBlock rate.
        overview: by how much the view is reduced before the global stream; 1 pays where a whole picture has few pixels.
        pool: how a network without masks sums up its evidence.
    """

    widths: tuple[Width, Width, Width, Width, Width] = (16, 32, 48, 64, 96)
    embedding: int = Field(default=96, ge=1, le=4096)
    streams: Literal["dual", "detail"] = "dual"
    attention: bool = True
    nested: bool = True
    drop: float = Field(default=0.05, ge=0, lt=1)
    overview: Literal[1, 2] = 2
    pool: Literal["mean", "attention"] = "mean"


class Recipe(_Section):
    """How a bundle is trained.

    Attributes:
        seed: of all chance in the training.
        sampler: where the crops come from: ``lesions`` (grey CT crops around a lesion), ``pictures`` (whole pictures
            of a `whole` task), ``tiles`` (native-resolution crops of large pictures).
        channels: 1 (grey) or 3 (colour) for pictures and tiles.
        masks: whether the data outline their targets; without, the network has no decoder.
        balance: 0 takes the classes of whole pictures as often as they are, 1 all equally often.
        labels: what the network learns to tell.
        repeat: crops an epoch takes from each picture (pictures and tiles).
        readers: how many of the readers must have marked a pixel, where the masks count them.
        cuts: windows of the bank in modality units, (low, high).
        phases: crop sizes over time: small crops first, they are cheap.
        hard_negatives: index of whole slices (below the data folder) to take negatives from, or None.
        negative_volume: a folder with image.nii.gz (HU) and label.nii.gz, one marked lesion: the rest is negative.
            Relative to the data folder; without it, training goes on without.
        negative_scans: a folder of labelled scans (see `medvis.learn.data.scans`), relative to the data folder: what
            readers marked in those of split train are lesions, the rest of their lungs is negative. None: none.
        val_volume: another one, which no training sees: the threshold of a finding is chosen on it as well.
        hard_negative_share: how many of the crops are taken from all of these.
        marked_share: how many of those show what is marked in them.
        batch: crops that are learned from at once.
        rate: learning rate.
        trunk_rate: learning rate of the pretrained trunk relative to the rest.
        decay: weight decay (AdamW).
        ema: how much of the averaged weights stays at each step; 0: no average.
        device: ``auto`` takes a GPU where there is one (in bfloat16; CPUs without its units only lose time by it).
        workers: threads that make crops ahead; 0: the training makes them itself. The crops are the same.
        keep: ``best`` keeps the averaged weights of the epoch with the best figures on val instead of the last ones.
        pretrained: whether the trunk begins with ImageNet weights.
        threads: CPU cores to use.
        validate_every, validate_on: epochs from one look at val to the next, and how many of its pictures are taken.
    """

    seed: int = Field(default=7, ge=0, lt=2**32)
    sampler: Literal["lesions", "pictures", "tiles"] = "lesions"
    channels: Literal[1, 3] = 1
    masks: bool = True
    balance: float = Field(default=0.0, ge=0, le=1)
    repeat: int = Field(default=1, ge=1, le=10_000)
    labels: list[TrainLabel] = Field(min_length=1)
    readers: int = Field(default=1, ge=1, le=16)
    cuts: list[tuple[Bound, Bound]] = []
    network: Network = Network()
    augment: Augment = Augment()
    losses: LossWeights = LossWeights()
    phases: list[Phase] = Field(min_length=1)
    batch: int = Field(default=32, ge=2, le=4096)
    rate: float = Field(default=2e-3, gt=0, le=1)
    trunk_rate: float = Field(default=0.3, ge=0, le=100)
    decay: float = Field(default=0.02, ge=0, le=1)
    ema: float = Field(default=0.998, ge=0, lt=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    keep: Literal["last", "best"] = "last"
    pretrained: bool = True
    hard_negatives: str | None = None
    negative_volume: str | None = None
    negative_scans: str | None = None
    val_volume: str | None = None
    hard_negative_share: float = Field(default=0.05, ge=0, lt=1)
    marked_share: float = Field(default=0.0, ge=0, lt=1)
    threads: int = Field(default=2, ge=1, le=1024)
    validate_every: int = Field(default=2, ge=1, le=100_000)
    validate_on: int = Field(default=400, ge=1, le=1_000_000)

    @field_validator("cuts")
    @classmethod
    def _one_a_channel(cls, cuts: list[tuple[float, float]]) -> list[tuple[float, float]]:
        if len(cuts) not in (0, 3):
            raise ValueError("the streams see three windows, or none")
        if any(low >= high for low, high in cuts):
            raise ValueError("a window goes from the lower value to the higher one")
        return cuts

    @model_validator(mode="after")
    def _fits_its_sampler(self) -> Recipe:
        exclusive = [label for label in self.labels if label.kind == "class"]
        if len(exclusive) == 1 or sum(label.normal for label in exclusive) > 1:
            raise ValueError("classes that exclude each other are two or more, at most one of them normal")
        if self.sampler != "pictures" and (exclusive or not self.masks):
            raise ValueError("a class of its own for each image, and no masks, are for sampler: pictures")
        if self.sampler == "lesions" and self.channels != 1:
            raise ValueError("lesions are in grey CT")
        return self
