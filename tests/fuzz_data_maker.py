"""Data sets as they come in real life, and damaged: COCO lists and tables. Seeded: the same number, the same bytes."""

from __future__ import annotations

import copy
import csv
import json
from io import StringIO
from typing import Any

import numpy as np
from tiny_sets import packed, runs

Random = np.random.Generator
SIDE = 24
_NUMBERS = (-1, 0, 1, 2, 1e9, 1.5, 10**400, float("nan"), float("inf"), True, "7")
_ODD: tuple[Any, ...] = (*_NUMBERS, None, "", "x", [], {}, [[]], [[1, 2]], "\u2028", [1, 2, 3, 4, 5, 6],
                         {"size": [SIDE, SIDE]}, {"counts": "0"})  # fmt: skip
QUOTE = '"'
TEXTS = ("a", "b c", "x,y", "x;y", "t\tt", 'q"q', "ä", "line\nbreak", "\u2028", "0", "É\x0c", "' '")


def coco(random: Random) -> dict[str, Any]:
    """A sound COCO list of images 0.png, 1.png, …: rectangles on whole pixels, triangles and run lengths."""
    count = int(random.integers(1, 4))
    images = [{"id": n, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n in range(count)]
    categories = [{"id": n, "name": name} for n, name in enumerate(("crack", "pit"))]
    annotations = []
    for number in range(int(random.integers(1, 6))):
        annotation = {"id": number, "image_id": int(random.integers(count)), "category_id": int(random.integers(2))}
        annotations.append({**annotation, "segmentation": _drawn(random), "iscrowd": int(random.random() < 0.1)})
    return {"images": images, "annotations": annotations, "categories": categories}


def _drawn(random: Random) -> Any:
    left, top = (int(value) for value in random.integers(0, SIDE - 4, 2))
    right, bottom = (int(value) for value in random.integers((left + 1, top + 1), SIDE + 1))
    kind = int(random.integers(4))
    if kind == 0:
        return [[left, top, right, top, right, bottom, left, bottom]]
    if kind == 1:
        corners = np.round(random.uniform(-4, SIDE + 4, 2 * int(random.integers(2, 8))), 2).tolist()
        return [[SIDE / 2, SIDE / 2, *corners]]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top:bottom, left:right] = 1
    return {"size": [SIDE, SIDE], "counts": runs(mask) if kind == 2 else packed(runs(mask))}


def damaged_coco(seed: int) -> tuple[str, bytes]:
    """(what was done, the JSON): none, one or two kinds of damage."""
    random = np.random.default_rng(seed)
    body, done = coco(random), []
    for _ in range(int(random.choice([0, 1, 1, 2]))):
        damage = _COCO[int(random.integers(len(_COCO)))]
        damage(body, random)
        done.append(damage.__name__.strip("_"))
    data = bytearray(json.dumps(body).encode())
    if random.random() < 0.15:
        done.append("bytes")
        _bytes(data, random)
    return "+".join(done) or "sound", bytes(data)


def _odd_value(body: dict[str, Any], random: Random) -> None:
    part = body[str(random.choice(["images", "annotations", "categories"]))]
    if part:
        entry = part[int(random.integers(len(part)))]
        entry[str(random.choice(sorted(entry)))] = copy.deepcopy(_ODD[int(random.integers(len(_ODD)))])


def _missing_key(body: dict[str, Any], random: Random) -> None:
    part = body[str(random.choice(["images", "annotations", "categories"]))]
    if part:
        entry = part[int(random.integers(len(part)))]
        entry.pop(str(random.choice(sorted(entry))), None)


def _doubled(body: dict[str, Any], random: Random) -> None:
    part = body[str(random.choice(["images", "annotations", "categories"]))]
    if part:
        part.append(copy.deepcopy(part[int(random.integers(len(part)))]))


def _dropped(body: dict[str, Any], random: Random) -> None:
    part = body[str(random.choice(["images", "annotations", "categories"]))]
    if part:
        del part[int(random.integers(len(part)))]


def _number_in_segmentation(body: dict[str, Any], random: Random) -> None:
    for entry in body["annotations"]:
        drawn = entry.get("segmentation")
        numbers = drawn[0] if isinstance(drawn, list) and drawn and isinstance(drawn[0], list) else None
        numbers = drawn.get("counts") if isinstance(drawn, dict) else numbers
        if isinstance(numbers, list) and numbers:
            numbers[int(random.integers(len(numbers)))] = copy.deepcopy(_ODD[int(random.integers(len(_ODD)))])
        elif isinstance(numbers, str) and numbers:
            at = int(random.integers(len(numbers)))
            drawn["counts"] = numbers[:at] + chr(int(random.integers(32, 130))) + numbers[at + 1 :]


def _shortened_segmentation(body: dict[str, Any], random: Random) -> None:
    for entry in body["annotations"]:
        drawn = entry.get("segmentation")
        if isinstance(drawn, list) and drawn and isinstance(drawn[0], list):
            drawn[0] = drawn[0][: int(random.integers(0, len(drawn[0]) + 1))]
        elif isinstance(drawn, dict) and isinstance(drawn.get("counts"), str | list):
            drawn["counts"] = drawn["counts"][: int(random.integers(0, len(drawn["counts"]) + 1))]


def _moved(body: dict[str, Any], random: Random) -> None:
    far = int(random.choice([-200, -SIDE, SIDE, 300]))
    for entry in body["annotations"]:
        if isinstance(entry.get("segmentation"), list):
            entry["segmentation"] = [
                [value + far if isinstance(value, int | float) else value for value in polygon]
                for polygon in entry["segmentation"]
                if isinstance(polygon, list)
            ]


_COCO = (_odd_value, _missing_key, _doubled, _dropped, _number_in_segmentation, _shortened_segmentation, _moved)


def table(seed: int) -> tuple[str, bytes, list[dict[str, str]] | None]:
    """(what was done, the file, its rows where nothing was damaged)."""
    random = np.random.default_rng([seed, 1])
    header = ["id", "split", "note", "more"]
    rows = [
        [f"r{number}", str(random.choice(["train", "val"])), *(str(random.choice(TEXTS)) for _ in range(2))]
        for number in range(int(random.integers(1, 5)))
    ]
    wanted = [dict(zip(header, [value.strip() for value in row], strict=True)) for row in rows]
    done = []
    if random.random() < 0.5:
        done.append(_damage_rows([header, *rows], random))
    text = StringIO(newline="")
    delimiter = str(random.choice([",", ";", "\t"]))
    ending = str(random.choice(["\n", "\r\n", "\r"]))
    # Beside \r, Python's writer before 3.13 quotes no \n.
    quoting = csv.QUOTE_ALL if random.random() < 0.3 or ending == "\r" else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows([header, *rows])
    if random.random() < 0.2:  # as people write it by hand: a blank behind each delimiter, and quotes
        quoted = [[f'"{value.replace(QUOTE, 2 * QUOTE)}"' for value in row] for row in (header, *rows)]
        text = StringIO(ending.join([*(f"{delimiter} ".join(row) for row in quoted), ""]), newline="")
    data = bytearray(text.getvalue().encode(str(random.choice(["utf-8", "utf-8-sig", "utf-16"]))))
    if random.random() < 0.4:
        done.append("bytes")
        _bytes(data, random)
    return "+".join(done) or "sound", bytes(data), None if done else wanted


def _damage_rows(rows: list[list[str]], random: Random) -> str:
    row = rows[int(random.integers(len(rows)))]
    kind = int(random.integers(3))
    if kind == 0:
        del row[int(random.integers(len(row)))]
    elif kind == 1:
        row.append(str(random.choice(TEXTS)))
    else:
        row[int(random.integers(len(row)))] = ""
    return ("short row", "long row", "empty field")[kind]


def _bytes(data: bytearray, random: Random) -> None:
    if random.random() < 0.3:
        del data[int(random.integers(len(data))) :]
    for _ in range(int(random.integers(1, 6)) if data else 0):
        data[int(random.integers(len(data)))] = int(random.integers(256))
