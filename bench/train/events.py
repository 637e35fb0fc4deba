"""A trial's events: the numbers that TensorBoard shows while it trains."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from bench.machine.disk import disk_explained


class Events:
    """A file of events, written in place, since TensorBoard reads along. A context manager: it closes with it.

    TensorBoard's own writer would import TensorFlow, and tensorboardX PyTorch, into a trial of either framework; so
    this is TensorBoard's format of records on a plain file. Raises `DiskError` where the disk does not take them.

    Args:
        folder: where the file goes, beside those of the trial's earlier processes.
        purge_step: from this step on, TensorBoard forgets what earlier files told; None forgets nothing.
    """

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        with disk_explained(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        if purge_step is not None:
            self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_explained(self._path):
            self._file.close()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Shows a number under a name, `<group>/<number>`, at a training step."""
        self._write(Event(step=step, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)])))

    def flush(self) -> None:
        """Shows everything so far."""
        with disk_explained(self._path):
            self._file.flush()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with disk_explained(self._path):
            self._records.write(event.SerializeToString())
