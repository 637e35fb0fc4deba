"""Which executor the options of `run` mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.launch.executor import Executor

EXECUTORS = ("local", "ray", "slurm")
# The options that one executor alone takes, with what they are when they are left out.
OF_ONE: Mapping[str, Mapping[str, Any]] = {
    "local": {"--workers": 1, "--gpus": None, "--trials-per-gpu": 1},
    "ray": {"--address": None, "--cpus-per-trial": 1, "--gpus-per-trial": 1.0, "--memory-per-trial": 0.0},
    "slurm": {"--shards": 1, "--slurm": None},
}
# What an array job's tasks pass on, since each of them is a run on one machine.
ALSO = {"slurm": "local"}


def check_options(executor: str, given: Mapping[str, Any]) -> None:
    """Raises `ClusterError` for an executor that there is not, and for an option that it does not take.

    Raises `UserError` for an option without the one that it goes with.
    """
    from bench.errors import ClusterError, UserError
    from impls.errors import nearest

    if executor not in EXECUTORS:
        raise ClusterError(f"--executor {executor}: not one of {', '.join(EXECUTORS)}{nearest(executor, EXECUTORS)}")
    for owner, options in OF_ONE.items():
        if owner in (executor, ALSO.get(executor)):
            continue
        for name, left_out in options.items():
            if given[name] != left_out:
                raise ClusterError(f"{name} goes with --executor {owner}, and this is {executor}")
    if given["--trials-per-gpu"] != OF_ONE["local"]["--trials-per-gpu"] and given["--gpus"] is None:
        raise UserError("--trials-per-gpu goes with --gpus: name the GPUs too, such as --gpus 0")


def make_executor(
    executor: str,
    given: Mapping[str, Any],
    *,
    devices: Sequence[str],
    data: Path,
    timeout: float | None,
    stall: float | None,
) -> Executor:
    """The executor `local` or `ray`, by the options of `OF_ONE`. Raises `UserError` where they do not go together."""
    from bench.errors import UserError

    if executor == "ray":
        from bench.launch.cluster.ray_executor import Needs, RayExecutor

        needs = Needs(
            cpus=given["--cpus-per-trial"],
            gpus=given["--gpus-per-trial"],
            memory_bytes=round(given["--memory-per-trial"] * 2**30),
        )
        return RayExecutor(
            address=given["--address"],
            devices=devices,
            needs=needs,
            data=data,
            timeout_seconds=timeout,
            stall_seconds=stall,
        )
    from bench.launch.local.local_executor import LocalExecutor
    from bench.machine.gpus import parse_gpus

    gpus, workers = given["--gpus"], given["--workers"]
    if gpus is not None and workers > 1:
        raise UserError("--workers with --gpus: so many trials run as there are GPUs, times --trials-per-gpu")
    return LocalExecutor(
        workers=workers,
        gpus=() if gpus is None else parse_gpus(gpus),
        trials_per_gpu=given["--trials-per-gpu"],
        data=data,
        timeout_seconds=timeout,
        stall_seconds=stall,
    )
