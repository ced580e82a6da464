"""`--threads` limits what computes and changes no finding; `--verbose` tells of every stage."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from conftest import canonical

from medvis.model.bundle import bundle_folder, checked_weights, read_card
from medvis.model.session import cpu_session, limited_threads, thread_limit, usable_cores


def threads_of_a_session() -> int:
    folder = bundle_folder("steel")
    session = cpu_session(checked_weights(folder, read_card(folder).model))
    return session.get_session_options().intra_op_num_threads


def test_the_limit_reaches_what_computes_and_ends_with_its_block():
    before = cv2.getNumThreads()
    with limited_threads(3):
        assert (thread_limit(), cv2.getNumThreads(), threads_of_a_session()) == (3, 3, 3)
    with limited_threads(None):
        assert (thread_limit(), threads_of_a_session()) == (0, usable_cores())
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize("task", ["lung-nodule", "steel"])
def test_no_finding_depends_on_the_number_of_threads(medvis, slices, tmp_path, task):
    path = slices[1]
    if task == "steel":
        path = tmp_path / "a.png"
        cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (128, 128), dtype=np.uint8))
    options = ("--task", task, "--json", "-q")
    single = canonical(medvis("diagnose", path, *options, "--threads", 1).stdout)
    assert canonical(medvis("diagnose", path, *options, "--threads", 3).stdout) == single
    assert canonical(medvis("diagnose", path, *options).stdout) == single


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5", "100000"])
def test_no_number_of_threads_is_wrong_use(medvis, slices, count):
    assert "--threads" in medvis("diagnose", slices[1], "--threads", count).error(2)


def test_every_step_has_a_line_with_its_time_and_settings(medvis, slices):
    ran = medvis("diagnose", slices[1], "--json", "--verbose")
    lines = dict(re.findall(r"^  (\w+) +\d+\.\d{3} s ?(.*)$", ran.stderr, re.MULTILINE))
    stages = [step["name"] for step in ran.json["provenance"]["trail"]]
    assert list(lines) == [*stages, "report", "write"]
    assert "center=-150" in lines["window"] and "region=lung" in lines["infer"]
    assert "task lung-nodule, model lung-nodule" in ran.stderr


def test_of_a_case_that_fails_it_says_where(medvis, slices, tmp_path):
    path = tmp_path / "cut.dcm"
    path.write_bytes(slices[1].read_bytes()[:-5000])
    ran = medvis("diagnose", path, slices[0], "--verbose", "--json")
    assert ran.code == 8 and "failed in read" in ran.stderr


def test_nothing_is_said_of_stages_unless_asked(medvis, slices):
    assert not re.search(r"infer +\d", medvis("diagnose", slices[1], "--json").stderr)
    assert "--quiet" in medvis("diagnose", slices[1], "--verbose", "-q").error(2)
