"""A trial's heartbeat: `heartbeat.json` in its folder, by which whoever started its command knows how far it is."""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.launch.process.heard import DiskTrouble, Message
from bench.machine.processes import processor_seconds
from bench.records.running.lone_folder import HEARTBEAT
from bench.train.progress import Life, Progress

# As often as trials tell their progress, and no oftener than a shared disk bears.
BEAT_SECONDS = 1.0


class Beat(BaseModel):
    """One beat.

    Attributes:
        node, process_id: where the trial runs.
        started: when its process began, UTC.
        beats: how many there were, so that two are told apart whatever the clocks say.
        step, steps, loss, quality, update_ratio: as in `Progress`; a step of None is before the first.
        computing, slow_answers: as in `Life`.
        processor_seconds: that its process has used.
        conditions: under which it trains; None before they are known.
        trouble: what is wrong with its disk; empty where nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str
    process_id: int
    started: str
    beats: int = 0
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    quality: float | None = None
    update_ratio: float | None = None
    computing: bool = True
    slow_answers: int = 0
    processor_seconds: float = 0.0
    conditions: dict[str, str] | None = None
    trouble: str = ""

    @property
    def life(self) -> Life:
        """The sign of life that it told last."""
        return Life(computing=self.computing, conditions=self.conditions, slow_answers=self.slow_answers)

    @property
    def progress(self) -> Progress | None:
        """How far it is; None before the first step."""
        if self.step is None or self.steps is None:
            return None
        return Progress(
            step=self.step, steps=self.steps, loss=self.loss, quality=self.quality, update_ratio=self.update_ratio
        )


class Heartbeat:
    """Beats while it is open, from a thread of its own, and takes in what the trial tells.

    A beat that the disk does not take is missed. Where the folder itself is gone another run has the trial, and the
    process ends at once.
    """

    def __init__(self, folder: Path, *, seconds: float = BEAT_SECONDS) -> None:
        self._path = folder / HEARTBEAT
        self._seconds = seconds
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._beat = Beat(node=socket.gethostname(), process_id=os.getpid(), started=now)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if not self._is_gone():
            self._write()

    @property
    def trouble(self) -> str:
        """What is wrong with the trial's disk, as it told; empty where nothing."""
        return self._beat.trouble

    def tell(self, message: Message) -> None:
        """Takes a message in, for the next beat."""
        if isinstance(message, Progress):
            update = {name: getattr(message, name) for name in ("step", "steps", "loss", "quality", "update_ratio")}
        elif isinstance(message, Life):
            conditions = self._beat.conditions if message.conditions is None else dict(message.conditions)
            update = {"computing": message.computing, "conditions": conditions}
            update |= {"slow_answers": message.slow_answers}
        else:
            assert isinstance(message, DiskTrouble)
            update = {"trouble": message.said}
        with self._lock:
            self._beat = self._beat.model_copy(update=update)

    def _go_on(self) -> None:
        while not self._end.wait(self._seconds):
            if self._is_gone():
                os._exit(1)
            self._write()

    def _is_gone(self) -> bool:
        """Whether the folder is not there any more; a disk that does not say so is not believed to mean it."""
        try:
            return not stat.S_ISDIR(os.stat(self._path.parent).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def _write(self) -> None:
        with self._lock:
            update = {"beats": self._beat.beats + 1, "processor_seconds": processor_seconds(os.getpid())}
            self._beat = self._beat.model_copy(update=update)
            text = self._beat.model_dump_json()
        # Not synced: a beat is worth nothing after the machine's end. Renamed: a reader finds all of one.
        temporary = self._path.with_name(f".{HEARTBEAT}-{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._path)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_beat(folder: Path) -> Beat | None:
    """The last beat in a trial's folder; None where there is none."""
    try:
        return Beat.model_validate_json((folder / HEARTBEAT).read_bytes())
    except (OSError, ValidationError):
        return None
