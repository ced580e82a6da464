"""How much memory a series takes: a stack is held once, the rest packed; and the packing loses nothing."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medvis import plugins
from medvis.core.frames import Frames, LazyFrames, PackedFrames, lazy_stack, packed_stack, stack_like

FULL = "MEDVIS_TEST_FULL_CT"
STACKS = st.one_of(
    arrays(
        np.float32, array_shapes(min_dims=3, max_dims=4, max_side=5), elements=st.sampled_from([0, -0.0, 1.5, np.nan])
    ),
    arrays(np.int32, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(-1, 2)),
    arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=5)),
)


def packed(stack, fill=0):
    out = PackedFrames(fill)
    for plane in stack:
        out.add(plane)
    return out


@given(STACKS, st.sampled_from([0, 1, -30]))
def test_a_packed_stack_is_the_array_bit_by_bit(stack, fill):
    out = packed(stack, fill)
    assert (out.shape, out.dtype, out.ndim, out.size) == (stack.shape, stack.dtype, stack.ndim, stack.size)
    assert np.asarray(out).tobytes() == stack.tobytes()
    assert [plane.tobytes() for plane in out] == [plane.tobytes() for plane in stack]


@given(arrays(np.int32, array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5), elements=st.integers(0, 3)))
def test_it_reads_like_an_array(stack):
    out = packed(stack)
    assert (
        (out == stack).all() and np.array_equal(out + 1, stack + 1) and np.array_equal(np.unique(out), np.unique(stack))
    )
    assert (
        out.any() == stack.any() and out.max() == stack.max() and out.max(initial=9) == 9 and out.sum() == stack.sum()
    )
    for axis in ((1, 2), 1, 0, (0, 2), -1):
        assert np.array_equal(out.any(axis), stack.any(axis)) and np.array_equal(out.max(axis), stack.max(axis))
    assert np.array_equal(out[-1, 1:, 0], stack[-1, 1:, 0]) and np.array_equal(out[::-1], stack[::-1])
    assert np.array_equal(out[out > 1], stack[stack > 1])
    assert not out[0].flags.writeable and out[np.int64(1)].shape == stack[1].shape
    with pytest.raises(IndexError, match="of"):
        out[len(out)]


def test_only_what_is_not_the_fill_takes_room():
    stack = np.full((40, 128, 128), -30, np.float32)
    stack[:, 5:15, 5:15] = 2
    tracemalloc.start()
    out = packed(stack, -30)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    stored = 40 * (128 * 128 // 8 + 100 * 4)  # a bit a pixel, and the pixels that are not the fill
    assert len(out) == 40 and stored <= taken < 1.25 * stored < stack.nbytes / 20


def test_frames_are_made_when_they_are_asked_for_and_one_is_remembered():
    asked = []

    def make(index):
        asked.append(index)
        return np.full((2, 2), index, np.float32)

    stack = lazy_stack(make, (3, 2, 2))
    assert isinstance(stack, LazyFrames) and not asked
    assert stack[2].sum() == stack[-1].sum() == 8 and asked == [2]
    assert np.array_equal(np.asarray(stack)[:, 0, 0], [0, 1, 2])


def test_one_frame_is_an_array_as_ever():
    plane = np.ones((4, 4), np.float32)
    assert type(packed_stack([plane])) is np.ndarray and type(lazy_stack(lambda _: plane, (1, 4, 4))) is np.ndarray
    assert isinstance(packed_stack([plane, plane]), Frames)
    assert type(stack_like(plane[None], [plane])) is np.ndarray and isinstance(
        stack_like(packed([plane]), [plane]), Frames
    )


@pytest.mark.parametrize("given", [np.zeros((0, 3, 4), np.int32), LazyFrames(lambda _: np.zeros((3, 4)), (0, 3, 4))])
def test_a_stack_without_frames(given):
    """Like nothing is nothing, of the same shape and type; out of nothing no shape can be told."""
    empty = stack_like(given, [])
    assert (empty.shape, empty.dtype) == ((0, *given.shape[1:]), given.dtype)
    with pytest.raises(ValueError, match="no frames"):
        packed_stack([])
    assert lazy_stack(lambda _: given, (0, 3, 4)).shape == (0, 3, 4)


CHILD = """
import resource, sys
import numpy as np
from tiny_chest import phantom, pipeline, scan_of
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
hu = phantom()[0]
pipeline().outcome(scan_of(hu))
line, scan = pipeline(), scan_of(np.tile(hu, (16, 1, 1)))
before = peak()
outcome = line.outcome(scan)
print((peak() - before) / scan.pixels.nbytes, len(outcome.report.findings))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is told in other units elsewhere")
def test_a_series_takes_little_more_than_its_pixels():
    """The growth from reading to report, in volumes of float32; with whole arrays it was fifteen."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=here, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    growth, findings = done.stdout.split()
    assert int(findings) > 0 and float(growth) < 5


@pytest.mark.skipif(FULL not in os.environ, reason=f"takes minutes; set {FULL}=1")
def test_a_ct_of_300_slices_with_every_result_runs_in_a_gigabyte(tmp_path):
    subprocess.run([sys.executable, "-m", "medvis", "phantom", "-o", tmp_path / "ct", "--frames", "300"], check=True)
    command = [
        sys.executable,
        "-m",
        "medvis",
        "diagnose",
        tmp_path / "ct" / "series",
        "-o",
        tmp_path / "out",
        "--write",
        ",".join(plugins.names("medvis.writers")),
        "--quiet",
    ]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert usage.ru_maxrss * 1024 < 1e9
