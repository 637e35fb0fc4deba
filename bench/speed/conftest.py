"""What the benchmarks share: their options, the parameters of both files, and what goes into the JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from typing import Any

import pytest

from bench.machine.environment import environment
from bench.speed.precisions import unavailable
from bench.speed.scales import SCALES, Setting, by_importance, grid
from bench.speed.workloads import Preparation, Workload, check_updates
from impls.contract import DEVICES, FRAMEWORKS, PRECISIONS, describe_device, installed

# In one pass.
MOST_ROUNDS = 50
FAILED: pytest.StashKey[list[str]] = pytest.StashKey()
# What was not measured, and why, by benchmark or precision.
CUT: pytest.StashKey[dict[str, str]] = pytest.StashKey()
STARTED: pytest.StashKey[float] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The benchmarks' own options."""
    group = parser.getgroup("speed")
    group.addoption("--speed-scale", choices=list(SCALES), default="tiny", help="how much the benchmarks measure")
    group.addoption("--speed-framework", choices=FRAMEWORKS, default=None, help="one framework; else all installed")
    group.addoption("--speed-device", choices=DEVICES, default="cpu", help="where the benchmarks run")
    group.addoption("--speed-budget", type=float, default=0.0, help="seconds in all; 0: as long as it takes")
    group.addoption("--speed-threads", type=int, default=0, help="threads of the frameworks; 0: their own default")


def pytest_configure(config: pytest.Config) -> None:
    """Starts the lists of benchmarks that failed or were cut, and the clock."""
    config.stash[FAILED] = []
    config.stash[CUT] = {}
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
    config.stash[CUT].update({f"{framework}, {name}": why for name, why in refused.items() if name in asked})
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
        if budget and time.monotonic() - config.stash[STARTED] > budget and preparation.begun:
            if pass_number == 0:
                step = "training" if workload.training else "inference"
                config.stash[CUT][f"{step}-{workload}"] = f"the budget of {budget:.0f} s was used"
            pytest.skip("the budget is used")
        if preparation.seconds(workload) > scale.long_seconds:
            pytest.skip(f"a step takes {preparation.seconds(workload):.1f} s: one pass is enough")
        prepared = preparation.prepare(workload)
        benchmark.extra_info.update(
            asdict(workload), updates=workload.updates, pass_number=pass_number, first_seconds=prepared.first_seconds
        )
        rounds = max(1, min(MOST_ROUNDS, round(scale.seconds / prepared.later_seconds)))
        check_updates(workload, benchmark.pedantic(prepared.step, rounds=rounds))

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes the benchmarks that failed."""
    report = yield
    if report.failed:
        item.config.stash[FAILED].append(item.name)
    return report


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Puts what records say of a machine in place of what the plugin says, which names it."""
    machine_info.clear()
    device, framework = config.option.speed_device, config.option.speed_framework
    machine_info.update(environment(threads=config.option.speed_threads, device=device))
    if device == "cuda" and framework:
        machine_info["libraries"] = {framework: describe_device(framework).libraries}


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Adds the benchmarks that failed or were cut, which the plugin leaves out.

    What it says of the repository names the folder it lies in; the version and commit are the machine's `project`.
    """
    del output_json["commit_info"]
    output_json["failed"] = config.stash[FAILED]
    output_json["cut"] = config.stash[CUT]
