"""Sequences of different length in one `.npy` file: written one by one, read by row through a memory map."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.prepared import open_array
from impls.contract import Array

# NumPy pads a header to a multiple of 64 bytes; one of any number of steps fits into two of these.
HEADER_BYTES = 128


class SequenceWriter:
    """Appends sequences `[steps, ...]` to `<name>.npy`; their boundaries go to `<name>_starts.npy`.

    Memory holds one sequence at a time. Use it as a context manager: leaving it writes the headers.
    """

    def __init__(self, folder: Path, name: str, *, step_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._path = folder / f"{name}.npy"
        self._step_shape, self._dtype = step_shape, np.dtype(dtype)
        self._starts = [0]
        self._file = self._path.open("wb")
        self._file.write(bytes(HEADER_BYTES))

    def add(self, sequence: Array) -> None:
        """Appends one sequence `[steps, *step_shape]`."""
        if sequence.shape[1:] != self._step_shape:
            raise ValueError(f"steps have shape {list(sequence.shape[1:])} where {list(self._step_shape)} is due")
        self._file.write(np.ascontiguousarray(sequence, dtype=self._dtype).tobytes())
        self._starts.append(self._starts[-1] + len(sequence))

    def __enter__(self) -> SequenceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is not None:
                return
            self._file.seek(0)
            header = {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self._starts[-1], *self._step_shape),
            }
            np.lib.format.write_array_header_1_0(self._file, header)
            if self._file.tell() != HEADER_BYTES:
                raise RuntimeError(f"the header of {self._path} took {self._file.tell()} bytes, not {HEADER_BYTES}")
        np.save(self._path.with_name(f"{self._path.stem}_starts.npy"), np.array(self._starts, np.int64))


class Sequences:
    """Sequences that a `SequenceWriter` wrote; only the steps that are asked for are read."""

    def __init__(self, folder: Path, name: str) -> None:
        self._steps = open_array(folder / f"{name}.npy")
        self._starts = np.array(open_array(folder / f"{name}_starts.npy"))

    def lengths(self) -> Array:
        """`[sequences]`: the number of steps of each."""
        return np.diff(self._starts)

    def sequence(self, row: int, *, length: int | None = None, stride: int = 1) -> Array:
        """Every `stride`-th step of one sequence from the first, `length` of them at most; a view."""
        start, end = int(self._starts[row]), int(self._starts[row + 1])
        return self._steps[start:end:stride][:length]

    def padded(
        self, rows: Array, *, length: int, stride: int = 1, front: bool = False, dtype: npt.DTypeLike = np.float32
    ) -> tuple[Array, Array]:
        """Sequences cropped at `length` steps or padded with zeros, at the end or in front.

        Returns:
            `[rows, length, ...]` of `dtype`, and the mask `[rows, length]` float32: 1 on real steps.
        """
        sequences: npt.NDArray[Any] = np.zeros((len(rows), length, *self._steps.shape[1:]), dtype)
        mask = np.zeros((len(rows), length), np.float32)
        for place, row in enumerate(rows):
            steps = self.sequence(int(row), length=length, stride=stride)
            where = slice(length - len(steps), length) if front else slice(0, len(steps))
            sequences[place, where] = steps
            mask[place, where] = 1.0
        return sequences, mask
