"""COCO data sets: an instances JSON (Lin et al., ECCV 2014) and its images."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from medvis.errors import InputError
from medvis.learn.data.coco_masks import Outlines, check
from medvis.learn.data.examples import Example
from medvis.learn.data.index import file_of
from medvis.learn.data.label_names import normalised
from medvis.learn.data.split_names import USUAL, split_name

NORMAL = "normal"
# The split of a data set that is not divided.
ALL = "all"
WANTED = "COCO instances: images, annotations, categories"
Id = int | str


class _Image(BaseModel):
    id: Id
    file_name: str = Field(min_length=1)
    height: int | None = Field(default=None, gt=0, le=100_000)
    width: int | None = Field(default=None, gt=0, le=100_000)
    group: Id | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(rows, cols), where both are there."""
        return None if self.height is None or self.width is None else (self.height, self.width)


class _Annotation(BaseModel):
    id: Id | None = None
    image_id: Id
    category_id: Id
    segmentation: Any = None
    iscrowd: int = Field(default=0, ge=0, le=1)


class _Category(BaseModel):
    id: Id
    name: str = Field(min_length=1)


class _Instances(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def coco_files(folder: Path) -> list[Path]:
    """The JSON files below `folder` that list images and annotations. Raises InputError where one is no JSON."""
    patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if not path.name.startswith(".")]
    return [path for path in found if _looks_right(_parsed(path))]


def read_coco(folder: Path, split: str, files: list[Path]) -> list[Example]:
    """The images of a split. An image without an annotation holds nothing: its label is `normal`.

    An image is of the class of its annotations where they are all of one; its group is its field `group`, else itself.
    What a crowd covers (`iscrowd`) is neither right nor false. An image with an annotation that is a box alone has no
    outline.

    Args:
        folder: of the data set.
        split: a word of the JSON's name or folder; ``all`` where there is one JSON only, that names none.
        files: as `coco_files` finds them.

    Raises:
        InputError: no file, or several, for that split; a file that is not COCO, or whose parts do not fit together; a
            segmentation that covers nothing; an image that is absent.
    """
    path = _chosen(files, folder, split)
    body = _validated(path)
    names = {category.id: category.name for category in body.categories}
    by_image: dict[Id, list[_Annotation]] = defaultdict(list)
    for annotation in body.annotations:
        by_image[annotation.image_id].append(annotation)
    folders, source = _image_folders(folder, path, split), path.relative_to(folder).as_posix()
    stems = Counter(Path(image.file_name.replace("\\", "/")).stem for image in body.images)
    examples = [_example(image, by_image[image.id], names, folders, stems) for image in body.images]
    return [
        replace(example, group=f"{source}: {image.file_name}" if image.group is None else str(image.group))
        for example, image in zip(examples, body.images, strict=True)
    ]


def split_of(path: Path, folder: Path) -> str | None:
    """The usual split that a JSON's name or folder says; None where it says none, or several."""
    named = _words(path, folder) & set(USUAL)
    return named.pop() if len(named) == 1 else None


def outlines_digest(example: Example) -> str:
    """A hash of what is drawn on a picture; of nothing, where nothing is."""
    parts = [part for part in (example.outline, example.unsure) if isinstance(part, Outlines)]
    text = json.dumps([[part.size, part.segmentations] for part in parts], default=str)
    return sha256(text.encode()).hexdigest()


def _words(path: Path, folder: Path) -> set[str]:
    """The words of a JSON's name and folder as splits are called: instances_val2017.json → {instances, val, …}."""
    text = path.relative_to(folder).with_suffix("").as_posix()
    words = {text.casefold(), *re.split(r"[/._\-\s]+", text.casefold())}
    return {split_name(word) for word in words | {re.sub(r"\d+$", "", word) for word in words} if word}


def _looks_right(body: object) -> bool:
    return isinstance(body, dict) and {"images", "annotations"} <= body.keys()


def _parsed(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}", WANTED) from error


def _validated(path: Path) -> _Instances:
    """The body, whose ids are unique and refer to something. Raises InputError."""
    try:
        body = _Instances.model_validate(_parsed(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("int", "str"))
        raise InputError(f"{path}: {where}: {first['msg'].lower()}", WANTED) from error
    _once(path, "image id", (image.id for image in body.images))
    _once(path, "file_name", (image.file_name for image in body.images))
    _once(path, "category id", (category.id for category in body.categories))
    _once(path, "annotation id", (entry.id for entry in body.annotations if entry.id is not None))
    images = {image.id: image for image in body.images}
    categories = {category.id for category in body.categories}
    for number, entry in enumerate(body.annotations):
        name = f"{path}: annotation {number if entry.id is None else entry.id}"
        if entry.image_id not in images:
            raise InputError(f"{name} is of image {entry.image_id}, which is not there", "an image for each annotation")
        if entry.category_id not in categories:
            raise InputError(f"{name} is of category {entry.category_id}, which is not there", "one of the categories")
        if entry.segmentation is not None and entry.segmentation != []:  # else there is a box alone
            try:
                check(entry.segmentation, images[entry.image_id].size)
            except ValueError as error:
                raise InputError(f"{name} covers nothing that can be drawn: {error}", "an outline within its image",
                                 "correct it, or leave it out of the file") from error  # fmt: skip
    return body


def _once(path: Path, what: str, values: Iterable[Id]) -> None:
    doubled = [value for value, count in Counter(values).items() if count > 1]
    if doubled:
        more = f" (and {len(doubled) - 1} more)" if doubled[1:] else ""
        raise InputError(f"{path} has the {what} {doubled[0]} more than once{more}", "each once")


def _chosen(paths: list[Path], folder: Path, split: str) -> Path:
    wanted = split_name(split)
    named = [path for path in paths if wanted in _words(path, folder)]
    if wanted in USUAL:  # train_val.json is neither
        named = [path for path in named if split_of(path, folder) == wanted]
    if len(named) > 1:  # captions or key points beside them
        named = [path for path in named if "instances" in _words(path, folder)] or named
    if len(named) == 1:
        return named[0]
    if len(paths) == 1 and not _words(paths[0], folder) & set(USUAL):
        if wanted == ALL:
            return paths[0]
        # Read as any split that is asked for, the same pictures would be learned from, calibrated and measured on.
        found = f"{paths[0]} names no split, so that it cannot be told what is '{split}'"
        raise InputError(found, "train, val or test in the file's name, or split 'all' to measure all of it")
    candidates = ", ".join(path.relative_to(folder).as_posix() for path in named or paths)
    if named:
        raise InputError(f"split '{split}' of {folder} may be any of {candidates}", "a split that names one of them")
    raise InputError(f"{folder} has no split '{split}', only {candidates}", "a split that names one of them")


def _image_folders(folder: Path, path: Path, split: str) -> list[Path]:
    """Where the images may lie, the likeliest first."""
    stem = path.stem.removeprefix("instances_")
    return [path.parent, folder / stem, folder / split, folder / "images" / split, folder / "images" / stem,
            folder / "images", folder]  # fmt: skip


def _example(
    image: _Image,
    annotations: list[_Annotation],
    names: dict[Id, str],
    folders: list[Path],
    stems: Counter[str],
) -> Example:
    file = next((path for path in (file_of(folder, image.file_name) for folder in folders) if path.is_file()), None)
    if file is None:
        raise InputError(f"image {image.file_name} is not there", f"it in {folders[0]} or images/ beside")
    relative = Path(image.file_name.replace("\\", "/"))
    kinds = sorted({normalised(name): name for name in (names[entry.category_id] for entry in annotations)}.values())
    label = kinds[0] if len(kinds) == 1 else "" if kinds else NORMAL
    single, crowds = (
        tuple(annotation.segmentation for annotation in annotations if annotation.iscrowd == crowd) for crowd in (0, 1)
    )
    return Example(
        relative.stem if stems[relative.stem] == 1 else relative.with_suffix("").as_posix(),
        "",
        label,
        file,
        Outlines(str(file), single, image.size) if all(single) else None,
        Outlines(str(file), tuple(filter(None, crowds)), image.size) if any(crowds) else None,
    )
