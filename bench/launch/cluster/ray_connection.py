"""A run's connection to a Ray cluster: how it is made, and how it is noticed that it is gone."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.errors import ClusterError

INSTALL = "install it with `pip install 'skiprnn-bench[cluster]'` (`make install` does)"
AGAIN = "start it again, and type the same command; what is finished is kept, and the rest goes on"
# Seconds that a head may answer nobody. Ray itself waits for a minute, and ends the program out of order then.
HEAD_SECONDS, ANSWER_SECONDS = 15.0, 2.0


@contextmanager
def ray_explained() -> Iterator[None]:
    """Says of what Ray asks of this machine's part of it, and does not get, that it is gone. Raises `ClusterError`."""
    try:
        yield
    except OSError as error:
        raise ClusterError(f"Ray on this machine is gone ({error}): {AGAIN}") from None


class Head:
    """Whether the head of a cluster answers.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._silent_since: float | None = None

    @property
    def look_seconds(self) -> float:
        """Seconds between looks at it, so that it is asked several times before it is given up."""
        return HEAD_SECONDS / 3

    def answers(self) -> bool:
        """Whether it does now. Raises `ClusterError` where it has not for too long."""
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
        except OSError as error:
            if self._silent_since is None:
                self._silent_since = time.monotonic()
            if time.monotonic() - self._silent_since < HEAD_SECONDS:
                return False
            raise ClusterError(f"the Ray cluster at {self._address} is gone ({error}): {AGAIN}") from None
        self._silent_since = None
        return True


def connected(address: str | None) -> Any:
    """Ray, connected to a cluster. Raises `ClusterError`."""
    if address is not None and address.startswith("ray://"):
        raise ClusterError(
            f"--address {address}: name the cluster's own address, HOST:PORT, on a machine that is in it"
        )
    try:
        import ray
    except ModuleNotFoundError:
        raise ClusterError(f"--executor ray needs the package 'ray': {INSTALL}") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that a Ray is started here
    before = signal.getsignal(signal.SIGTERM)
    try:
        # Of what Ray says on this terminal the scheduler says in one line what matters.
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())
        raise ClusterError(
            f"no Ray cluster answers at {address or 'this machine'} ({said}); start one with `ray start --head`, and "
            f"set RAY_AUTH_MODE=token here where it was started so"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray's would end the program out of order
    # Ray prints thirty lines of its logs for a node that is gone; the scheduler says it in one. There is no option.
    ray._private.worker._worker_logs_enabled = False
    return ray
