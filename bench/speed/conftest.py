"""What the benchmarks share: their options, the parameters of both files, and what is noted of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.machine.environment import environment
from bench.speed.journal import note
from bench.speed.precisions import unavailable
from bench.speed.scales import SCALES, Setting, by_importance, grid
from bench.speed.workloads import Preparation, Workload, check_updates
from impls.contract import DEVICES, FRAMEWORKS, PRECISIONS, describe_device, installed

# In one pass.
MOST_ROUNDS = 50
# Whether what is told once was noted.
BEGUN: pytest.StashKey[bool] = pytest.StashKey()
PARENT: pytest.StashKey[int] = pytest.StashKey()
STARTED: pytest.StashKey[float] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The benchmarks' own options."""
    group = parser.getgroup("speed")
    group.addoption("--speed-scale", choices=list(SCALES), default="tiny", help="how much the benchmarks measure")
    group.addoption("--speed-framework", choices=FRAMEWORKS, default=None, help="one framework; else all installed")
    group.addoption("--speed-device", choices=DEVICES, default="cpu", help="where the benchmarks run")
    group.addoption("--speed-budget", type=float, default=0.0, help="seconds in all; 0: as long as it takes")
    group.addoption("--speed-journal", type=Path, default=None, help="where to note what is measured, as it is")
    group.addoption("--speed-threads", type=int, default=0, help="threads of the frameworks; 0: their own default")


def pytest_configure(config: pytest.Config) -> None:
    """Starts the clock, and remembers who asked."""
    config.stash[BEGUN] = False
    config.stash[PARENT] = os.getppid()
    config.stash[STARTED] = time.monotonic()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All workloads once, then all of them again: the passes are the outermost loop."""
    options = metafunc.config.option
    scale = SCALES[options.speed_scale]
    frameworks = [options.speed_framework] if options.speed_framework else list(filter(installed, FRAMEWORKS))
    workloads = [
        workload
        for framework in frameworks
        for workload in grid(
            framework,
            scale=scale,
            training=metafunc.function.__name__ == "test_training_step",
            device=options.speed_device,
            threads=options.speed_threads,
            precisions=_precisions(metafunc.config, framework, scale.settings),
        )
    ]
    cases = [(number, workload) for number in range(scale.passes) for workload in workloads]
    metafunc.parametrize(
        ("pass_number", "workload"), cases, ids=[f"pass{number}-{workload}" for number, workload in cases]
    )


def _precisions(config: pytest.Config, framework: str, settings: Sequence[Setting]) -> list[str]:
    """Those that the device has; of the settings' others it is noted why they are left out."""
    asked = {setting.precision for setting in settings}
    if asked == {"float32"}:
        return ["float32"]
    refused = unavailable(framework, device=config.option.speed_device)
    _note(config, {"cut": {f"{framework}, {name}": why for name, why in refused.items() if name in asked}})
    return [name for name in PRECISIONS if name not in refused]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a budget, training and inference by importance, pass by pass within what stands together."""
    if not config.option.speed_budget:
        return
    scale, framework = SCALES[config.option.speed_scale], config.option.speed_framework
    workloads = grid(
        framework,
        scale=scale,
        training=None,
        device=config.option.speed_device,
        threads=config.option.speed_threads,
    )
    place = {case: number for number, case in enumerate(by_importance(workloads, passes=scale.passes))}

    def place_of(item: pytest.Item) -> int:
        asked = item.callspec.params  # type: ignore[attr-defined]
        return place[asked["pass_number"], asked["workload"]]

    items.sort(key=place_of)


@pytest.fixture(scope="session")
def preparation() -> Preparation:
    """One for the session: what was compiled in the first pass serves the others."""
    return Preparation()


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any, preparation: Preparation) -> Callable[..., None]:
    """Times a workload by the `benchmark` fixture, and writes beside the times what they are of."""
    config = request.config
    scale, budget = SCALES[config.option.speed_scale], config.option.speed_budget

    def run(workload: Workload, *, pass_number: int) -> None:
        if config.option.speed_journal is not None and os.getppid() != config.stash[PARENT]:
            pytest.exit("whoever reads the journal is gone")
        if budget and time.monotonic() - config.stash[STARTED] > budget and preparation.begun:
            if pass_number == 0:
                step = "training" if workload.training else "inference"
                _note(config, {"cut": {f"{step}-{workload}": f"the budget of {budget:.0f} s was used"}})
            pytest.skip("the budget is used")
        if preparation.seconds(workload) > scale.long_seconds:
            pytest.skip(f"a step takes {preparation.seconds(workload):.1f} s: one pass is enough")
        prepared = preparation.prepare(workload)
        benchmark.extra_info.update(
            asdict(workload),
            implementation=prepared.implementation,
            updates=workload.updates,
            pass_number=pass_number,
            first_seconds=prepared.first_seconds,
        )
        rounds = max(1, min(MOST_ROUNDS, round(scale.seconds / prepared.later_seconds)))
        check_updates(workload, benchmark.pedantic(prepared.step, rounds=rounds))
        if benchmark.stats is not None:  # benchmarks are disabled
            _note_measured(config, benchmark.stats)

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes the benchmarks that failed, which the plugin leaves out."""
    report = yield
    if report.failed:
        _note(item.config, {"failed": [item.name]})
    return report


def _note(config: pytest.Config, part: dict[str, Any]) -> None:
    if config.option.speed_journal is not None:
        note(config.option.speed_journal, part)


def _note_measured(config: pytest.Config, stats: Any) -> None:
    """Notes a benchmark as pytest-benchmark writes it, with the first the machine as well.

    That is told as records tell it: what the plugin says names the machine, and what it says of the repository the
    folder that it lies in; the version and commit are the machine's `project`.
    """
    if config.option.speed_journal is None:
        return
    told: dict[str, Any] = config.hook.pytest_benchmark_generate_json(
        config=config, benchmarks=[stats], include_data=True, machine_info={}, commit_info={}
    )
    if config.stash[BEGUN]:
        told = {"benchmarks": told["benchmarks"]}
    else:
        config.stash[BEGUN] = True
        del told["commit_info"]
        told["machine_info"] = _machine(config)
    _note(config, told)


def _machine(config: pytest.Config) -> dict[str, Any]:
    device, framework = config.option.speed_device, config.option.speed_framework
    machine: dict[str, Any] = environment(threads=config.option.speed_threads, device=device)
    if device == "cuda" and framework:
        machine["libraries"] = {framework: describe_device(framework).libraries}
    return machine
