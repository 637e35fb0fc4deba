"""Disks that misbehave, for tests: small ones that fill up or become read-only, where the machine lets us mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

FILLER = "filler"


@dataclass(frozen=True)
class SmallDisk:
    """A mounted disk of a few megabytes."""

    place: Path

    def fill(self, *, leaving: int = 0) -> None:
        """Leaves so many bytes free, in whole blocks of 4,096."""
        with (self.place / FILLER).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"0" * 4096)
            except OSError:  # full
                pass
            file.truncate(max(0, file.tell() - leaving))

    def empty(self) -> None:
        """Frees what `fill` took."""
        (self.place / FILLER).unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuses every write meanwhile."""
        command("mount", "-o", "remount,ro", self.place)
        try:
            yield
        finally:
            command("mount", "-o", "remount,rw", self.place)


def failing(number: int) -> Callable[..., None]:
    """What a disk does that answers every question with this error."""

    def fail(*words: object, **told: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def command(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 4 MB. Skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place)
    except OSError as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    try:
        yield SmallDisk(place)
    finally:
        command("umount", "--lazy", place)
