"""Stacks of frames that take less room than an array, and are read like one.

A CT of 300 slices is 315 MB as float32, and a case holds several maps of that size: the view, the logits, their spread,
the evidence, the mask. Most of each is one value (nothing was searched, nothing was found), or can be made again from
another map at once. Such a map is held as `PackedFrames` or `LazyFrames`: a frame of it is an array, made when it is
asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from medvis.core.arrays import Array, Float32s

T = TypeVar("T", bound=np.generic)


class Frames(NDArrayOperatorsMixin, ABC):
    """A stack [frames, ...] that gives out its frames as read-only arrays.

    ``stack[i]``, ``stack[i, rows, cols]``, ``len``, iteration, `any` and `max` cost the memory of one frame. Everything
    else that an array can do works as well, by making the whole array first.

    Attributes:
        shape: as of the array that it stands for.
        dtype: likewise.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self._last: tuple[int, Array] | None = None

    @abstractmethod
    def _frame(self, index: int) -> Array:
        """Frame `index`, 0 ≤ index < frames, as a new array."""

    @property
    def ndim(self) -> int:
        """Number of axes, that of the frames included."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - whatever indexes an array
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if isinstance(first, bool) or not isinstance(first, int | np.integer):
            return np.asarray(self)[key]
        index = int(first) + (len(self) if first < 0 else 0)
        if not 0 <= index < len(self):
            raise IndexError(f"frame {int(first)} of {len(self)}")
        if self._last is None or self._last[0] != index:
            frame = self._frame(index)
            frame.flags.writeable = False
            self._last = index, frame
        frame = self._last[1]
        return frame[rest] if rest else frame

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: ANN401 - numpy's protocol
        if copy is False:
            raise ValueError("a stack of frames is no array until it is made one")
        out = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for index in range(len(self)):
            out[index] = self._frame(index)
        return out

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:  # noqa: ANN401 - numpy's
        arrays = [np.asarray(item) if isinstance(item, Frames) else item for item in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever an array has
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def any(self, axis: Any = None) -> Any:  # noqa: ANN401 - as of an array
        """Whether any element is true; frame by frame unless the frames themselves are an axis of the reduction."""
        if axis is None:
            return any(bool(frame.any()) for frame in self)
        kept = _within(axis, self.ndim)
        return np.asarray(self).any(axis) if kept is None else np.array([frame.any(kept) for frame in self])

    def max(self, axis: Any = None, **options: Any) -> Any:  # noqa: ANN401 - as of an array
        """The greatest element; frame by frame unless the frames themselves are an axis of the reduction."""
        if axis is None:
            return np.max([frame.max(**options) for frame in self], **options)
        kept = _within(axis, self.ndim)
        if kept is None:
            return np.asarray(self).max(axis, **options)
        return np.array([frame.max(kept, **options) for frame in self])


class PackedFrames(Frames):
    """A stack most of which has one value: only the others are stored, and a bit an element. Nothing is lost.

    It grows by `add` while it is filled, and is not changed after that.

    Args:
        fill: the frequent value.
    """

    def __init__(self, fill: float = 0) -> None:
        super().__init__((0,), np.dtype(np.float32))
        self._fill = np.array(fill)
        self._parts: list[tuple[Array, Array]] = []

    def add(self, plane: Array) -> None:
        """One more frame, of the shape and type of the first one."""
        if not self._parts:
            self.dtype, self._fill = plane.dtype, self._fill.astype(plane.dtype)
        # Bits are compared, not numbers: −0 is not 0 here, and a NaN is what it is.
        other = _bits(np.ascontiguousarray(plane)) != _bits(self._fill)
        self._parts.append((np.packbits(other), plane[other]))
        self.shape = (len(self._parts), *plane.shape)

    def stack(self) -> Array:
        """The whole: of several frames this object itself, of one an array."""
        return cast("Array", self if len(self) > 1 else np.asarray(self))

    def _frame(self, index: int) -> Array:
        bits, values = self._parts[index]
        out = np.full(self.shape[1:], self._fill)
        if values.size:
            out[np.unpackbits(bits, count=out.size).view(np.bool_).reshape(out.shape)] = values
        return out


class LazyFrames(Frames):
    """A stack whose frames are made anew whenever they are asked for.

    Args:
        make: index → the frame, the same every time: an array of its own, of `shape` and `dtype`.
        shape: [frames, ...].
        dtype: of the elements.
    """

    def __init__(self, make: Callable[[int], Array], shape: tuple[int, ...], dtype: Any = np.float32) -> None:  # noqa: ANN401 - whatever names a dtype
        super().__init__(shape, np.dtype(dtype))
        self._make = make

    def _frame(self, index: int) -> Array:
        return self._make(index)


def packed_stack(planes: Iterable[NDArray[T]], fill: float = 0) -> NDArray[T]:
    """Frames [...] as a stack [frames, ...]: one alone as an array, several as `PackedFrames`.

    It is called an array because it reads like one.

    Raises:
        ValueError: there is no frame, so that nobody knows the shape.
    """
    packed = _packed(planes, fill)
    if not len(packed):
        raise ValueError("a stack of no frames has no shape")
    return packed.stack()


def lazy_stack(make: Callable[[int], Float32s], shape: tuple[int, ...]) -> Float32s:
    """A stack of `shape` from a function of the index: one frame alone as an array, several as `LazyFrames`."""
    stack = LazyFrames(make, shape)
    return cast("Float32s", stack if shape[0] > 1 else np.asarray(stack))


def stack_like(given: Array, planes: Iterable[NDArray[T]], fill: float = 0) -> NDArray[T]:
    """Frames as a stack of the kind that `given` is: packed, or an array.

    Without any frame it is an empty array of the shape and type of a `given` without frames.
    """
    stack = _packed(planes, fill) if isinstance(given, Frames) else list(planes)
    if not len(stack):
        return np.empty((0, *given.shape[1:]), given.dtype)
    return cast("NDArray[T]", stack) if isinstance(stack, PackedFrames) else np.stack(stack)


def _packed(planes: Iterable[Array], fill: float) -> PackedFrames:
    packed = PackedFrames(fill)
    for plane in planes:
        packed.add(plane)
    return packed


def _within(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...] | None:
    """The axes as those of a frame; None if that of the frames is among them."""
    axes = [item % ndim for item in (axis if isinstance(axis, tuple) else (axis,))]
    return None if 0 in axes else tuple(item - 1 for item in axes)


def _bits(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}")
