"""What the benchmarks share: their options, the parameters of both files, and what goes into the JSON."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import Any

import pytest

from bench.machine.environment import environment
from bench.speed.workloads import SCALES, Preparation, Workload, check_updates, grid
from impls.contract import DEVICES, FRAMEWORKS, installed

# In one pass.
MOST_ROUNDS = 50
# A step that takes longer is measured in the first pass alone.
LONG_SECONDS = 2.0
FAILED: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The benchmarks' own options."""
    group = parser.getgroup("speed")
    group.addoption("--speed-scale", choices=list(SCALES), default="tiny", help="how much the benchmarks measure")
    group.addoption("--speed-framework", choices=FRAMEWORKS, default=None, help="one framework; else all installed")
    group.addoption("--speed-device", choices=DEVICES, default="cpu", help="where the benchmarks run")
    group.addoption("--speed-threads", type=int, default=0, help="threads of the frameworks; 0: their own default")


def pytest_configure(config: pytest.Config) -> None:
    """Starts the list of benchmarks that failed."""
    config.stash[FAILED] = []


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
        )
    ]
    cases = [(number, workload) for number in range(scale.passes) for workload in workloads]
    metafunc.parametrize(
        ("pass_number", "workload"), cases, ids=[f"pass{number}-{workload}" for number, workload in cases]
    )


@pytest.fixture(scope="session")
def preparation() -> Preparation:
    """One for the session: what was compiled in the first pass serves the others."""
    return Preparation()


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any, preparation: Preparation) -> Callable[..., None]:
    """Times a workload by the `benchmark` fixture, and writes beside the times what they are of."""
    seconds = SCALES[request.config.option.speed_scale].seconds

    def run(workload: Workload, *, pass_number: int) -> None:
        if preparation.seconds(workload) > LONG_SECONDS:
            pytest.skip(f"a step takes {preparation.seconds(workload):.1f} s: one pass is enough")
        prepared = preparation.prepare(workload)
        benchmark.extra_info.update(
            asdict(workload), updates=workload.updates, pass_number=pass_number, first_seconds=prepared.first_seconds
        )
        rounds = max(1, min(MOST_ROUNDS, round(seconds / prepared.later_seconds)))
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
    machine_info.update(environment(threads=config.option.speed_threads, device=config.option.speed_device))


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Adds the benchmarks that failed: the plugin leaves them out."""
    output_json["failed"] = config.stash[FAILED]
