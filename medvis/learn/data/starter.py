"""A task's YAML and a folder for its data to begin with, for classes of pictures, outlines, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from medvis.errors import UsageError

Kind = Literal["classes", "masks", "classes+masks"]
NORMAL = ("normal", "good", "ok")


@dataclass(frozen=True)
class Starter:
    """What is written.

    Attributes:
        task: its name.
        kind: what the data teach: a class for each picture, an outline of what is there, or both.
        labels: of the classes; of outlines alone: what is outlined, one name.
        colour: whether colour tells anything; else pictures are shown in grey.
    """

    task: str
    kind: Kind
    labels: Sequence[str]
    colour: bool = False

    def __post_init__(self) -> None:
        names = [name.casefold() for name in self.labels]
        least = 1 if self.kind == "masks" else 2
        plain = all(name and name.replace(" ", "").replace("-", "").isalnum() for name in names)
        if len(set(names)) < len(names) or len(names) < least or (least == 1 and len(names) > 1) or not plain:
            wanted = "one name" if least == 1 else "two or more names, each once"
            raise UsageError(f"--labels {','.join(self.labels)!r}", f"{wanted}: letters, digits, blanks and hyphens")

    @property
    def finding(self) -> str:
        """What the task looks for, in words."""
        return next((name for name in self.labels if name.casefold() not in NORMAL), self.labels[0])

    def files(self) -> dict[str, str]:
        """Path below the folder → text."""
        return {f"{self.task}.yaml": self._yaml(), "data/index.csv": self._index(), "data/README.md": self._columns()}

    def _yaml(self) -> str:
        whole, masks = self.kind != "masks", self.kind != "classes"
        sections = [
            _HEAD.format(
                task=self.task, kind="whole" if whole else "tiled", finding=_text(self.finding),
                title=_text(f"{self.finding}, a task of my own"), channels="[3]" if self.colour else "[1, 3]",
            ),
            _STAGES.format(grey="" if self.colour else ", grey: true", infer=_WHOLE if whole else _TILED),
            "  # The class of the whole picture.\n  classify: {}\n" if whole else "",
            _OUTLINES if masks else "",
            _JUDGE,
            _TRAIN.format(
                sampler="pictures" if whole else "tiles", channels=3 if self.colour else 1, masks=str(masks).lower(),
                labels="\n".join(self._label(name) for name in self.labels),
                network="" if whole else "  # Crops that an epoch takes from each picture.\n  repeat: 4\n",
                epochs=_WHOLE_PHASES if whole else _TILED_PHASES,
            ),
            _CARD.format(task=self.task),
        ]  # fmt: skip
        return "".join(sections)

    def _label(self, name: str) -> str:
        if self.kind == "masks":
            return f"    - {{name: {_text(name)}}}"
        normal = ", normal: true" if name.casefold() in NORMAL else ""
        return f"    - {{name: {_text(name)}, kind: class{normal}}}"

    def _index(self) -> str:
        columns = ["id", "split", "group", "image", "label"]
        example = ["case-001", "train", "patient-01", "images/case-001.png", self.finding]
        if self.kind != "classes":
            columns, example = [*columns, "mask"], [*example, "masks/case-001.png"]
        return f"{','.join(columns)}\n# {','.join(example)}\n"

    def _columns(self) -> str:
        names = self.labels if self.kind != "masks" else [self.finding, "normal"]
        rows = _COLUMNS + _LABEL.format(labels=", ".join(f"`{name}`" for name in names))
        if self.kind != "classes":
            rows += _MASK
        return _README.format(task=self.task, rows=rows)


def _text(name: str) -> str:
    """A name as YAML reads it back as text: no, 1 and 2020-01-01 would be something else."""
    return name if yaml.safe_load(name) == name else f"'{name}'"


_HEAD = """\
# Everything about the task that is not learned. 'medvis tasks FILE --settings' lists every setting with its meaning,
# bounds and default; a key that is not known is an error.
task: {task}
title: {title}
# whole: one view of each picture. tiled: overlapping tiles of large pictures at their own resolution.
kind: {kind}
# The folder beside this file that 'medvis export' writes.
bundle: {task}-bundle

# Which scans the task is for.
accepts:
  # DICOM modalities, e.g. [US] or [CR, DX]; empty: any.
  modalities: []
  # 1: grey, 3: colour.
  channels: {channels}
  # PNG, JPEG, TIFF and BMP pictures as well.
  raster: true
  # true: 'medvis diagnose' takes the task by itself where modality and body part fit.
  auto: false

# What a finding is called in the report.
taxonomy:
  finding: {finding}

# The stages of a diagnosis, in their order. What changes how the model sees a picture (window, enhance, infer) must be
# as it was in the training.
stages:
"""
_STAGES = """\
  # stored: pictures of 8 bits as they are. CT instead: {{preset: lung}}, or center and width in HU.
  window: {{range: stored{grey}}}
  enhance: {{method: none}}
{infer}"""
_WHOLE = """\
  # Scales and flips of the view, merged; {scale: weight}. Leave out a flip that makes a picture impossible.
  infer: {scales: {0.75: 0.5, 1.0: 1.0, 1.25: 0.5}, flips: [none, horizontal], agree: 0.02}
"""
_TILED = """\
  # Tiles and their overlap in px; each candidate is then looked at closer in a crop of its own.
  infer:
    region: all
    tile: 256
    overlap: 64
    scales: {1.0: 1.0}
    flips: [none, horizontal]
    candidate: {probability: 0.15, most: 12, crop: 128, reject: 0.08, agree: 0.02}
"""
_OUTLINES = """\
  # From probabilities to outlined findings, and their size.
  segment: {min_pixels: 16}
  measure: {}
"""
_JUDGE = """\
  # When a verdict is left to a person: the views disagree by more than this sd, or the picture has no contrast.
  judge: {spread: 0.25, contrast: 0.01}
  explain: {}

"""
_TRAIN = """\
train:
  seed: 7
  sampler: {sampler}
  # 1: grey, 3: colour.
  channels: {channels}
  # Whether the data outline what is there.
  masks: {masks}
  # As the column 'label' of index.csv calls them; normal: nothing is there.
  labels:
{labels}
{network}  # How pictures are varied. Take out what never happens to yours; 'medvis tasks FILE --settings' lists more.
  augment:
    angle: 10
    mirror: 0.5
    upside_down: 0.0
    zoom: [0.85, 1.2]
    window: [12, 0.15]
    gamma: 0.15
    noise: 6
    blur: 0.2
    smoothing: 0.02
{epochs}  # Pictures that are learned from at once; the train split needs at least as many.
  batch: 16
  # CPU cores to use.
  threads: 2
  validate_every: 2

"""
_WHOLE_PHASES = """\
  # Side of the view in px (a multiple of 32) and epochs: small views first, they are cheap.
  phases:
    - {size: 128, epochs: 20}
    - {size: 224, epochs: 20}
"""
_TILED_PHASES = """\
  # Side of the crops in px (a multiple of 32) and epochs: small crops first, they are cheap.
  phases:
    - {size: 128, epochs: 15}
    - {size: 192, epochs: 20}
"""
_CARD = """\
# What 'medvis evaluate' compares with. bars: {{dice: 0.7}} is what must be reached.
evaluate: {{}}

# What the model's card says and nothing measures. Replace every text before you give the model to anybody.
card:
  version: "1"
  summary: Not written yet - say in one sentence what the model does.
  intended_use: Not written yet - say which pictures, of whom or what, from which devices.
  not_for:
    - diagnosis, screening or treatment decisions
    - pictures of another kind than it was trained on
  data:
    - name: the data set {task}
      licence: not written yet
      citation: not written yet
      used_for: training, thresholds and test, by the splits of index.csv
  known_failures:
    - not written yet - look at the worst cases of 'medvis evaluate --plots'
"""
_COLUMNS = """\
| `id` | text, each once | yes | name of the picture in results |
| `split` | `train`, `val` or `test` | yes | what is learned from, what thresholds are fitted on, what is measured |
| `group` | text | yes | the patient, part or machine; never in two splits. Its own `id` where it stands alone |
| `image` | path below this folder | yes | PNG, JPEG, TIFF, BMP or DICOM of one frame |
"""
_LABEL = "| `label` | one of {labels} | yes | empty or `unlabelled`: nobody has looked, and the picture is left out |\n"
_MASK = """\
| `mask` | path below this folder | where something is there | PNG of the picture's rows and columns, 0 where nothing \
is; empty where nothing is there and the label says so |
"""
_README = """\
# The data of {task}

`index.csv` has one row for each picture. Lines that begin with `# ` are comments, as the example is.

| column | type | needed | meaning |
|---|---|---|---|
{rows}
Further columns are allowed. Sizes are in pixels; a picture needs no scale, but only DICOM files with one give sizes in
mm. About 70 % of the groups for `train`, 15 % for `val`, 15 % for `test` is usual: at least 16 pictures in `train`, and
some of every kind in each split. Put the files into `images/` and `masks/`, then:

    medvis train {task}.yaml --data data -o run
    medvis export run/model.safetensors --task {task}.yaml --data data -o {task}-bundle
    medvis evaluate --task {task}.yaml --data data --split test --plots plots
    medvis diagnose PICTURE --task {task}.yaml -o results

The first reads everything and refuses what does not fit, before it begins to train.
"""
