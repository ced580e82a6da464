"""What tests must not do: name what is private to medvis, or judge by the clock on the wall. Ruff sees attributes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.glob("*.py"))
CLOCKS = {"time", "perf_counter", "perf_counter_ns", "monotonic", "time_ns", "monotonic_ns"}


def private_names(tree: ast.AST) -> list[str]:
    """Private names of medvis that are imported, or patched by their dotted name or as an attribute."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "medvis":
            names += [name.name for name in node.names]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [item.value for item in node.args[:2] if isinstance(item, ast.Constant)]
            names += [text.rpartition(".")[2] for text in texts if isinstance(text, str)]
    return [name for name in names if re.match("_[a-zA-Z]", name)]


def wall_times(tree: ast.AST) -> list[str]:
    """Assertions that compare what a clock says, directly."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        for compared in ast.walk(node.test)
        if isinstance(compared, ast.Compare)
        and any(_is_clock(part) for side in (compared.left, *compared.comparators) for part in _outside_calls(side))
    ]


def _outside_calls(node: ast.expr) -> list[ast.expr]:
    """The terms of a sum or difference."""
    if isinstance(node, ast.BinOp):
        return [*_outside_calls(node.left), *_outside_calls(node.right)]
    return [node]


def _is_clock(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
        and node.func.attr in CLOCKS
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_test_names_nothing_private_and_compares_no_wall_time(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert private_names(tree) == []
    assert wall_times(tree) == []


@pytest.mark.parametrize(
    ("code", "private", "timed"),
    [
        ("from medvis.core.frames import _packed", ["_packed"], 0),
        ("monkeypatch.setattr('medvis.pipeline._x', 1)", ["_x"], 0),
        ("monkeypatch.setattr(pipeline, '_x', 1)", ["_x"], 0),
        ("from medvis.core.frames import held", [], 0),
        ("assert time.perf_counter() - began < 3", [], 1),
        ("assert journal.due('open', time.time()) == []", [], 0),
    ],
)
def test_it_would_be_seen(code, private, timed):
    assert private_names(ast.parse(code)) == private
    assert len(wall_times(ast.parse(code))) == timed
