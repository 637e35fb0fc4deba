"""What every test needs before a framework is imported: all read these once, on import."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.covering import leave_combinations
from tests.left_out import left_out
from tests.order import longest_first

# Without it TensorFlow prints its search for CUDA libraries on every run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Layers are imported by tests themselves, whatever a developer's own Keras runs on.
os.environ["KERAS_BACKEND"] = "tensorflow"
# Trials of tests keep what TensorFlow compiles away from the developer's own.
os.environ["SKIPRNN_BENCH_CACHE"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "programs")
# The tensors of tests are tiny: two frameworks' threads spend longer waiting for each other than working.
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")


collect_ignore = [str(path) for path in left_out(Path(__file__).parent)]


def pytest_report_header() -> list[str]:
    """What is not even collected."""
    return [f"left out, whose packages are not installed: {len(collect_ignore)} files"] if collect_ignore else []


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the files (`--dist loadfile`), they take them in this order."""
    leave_combinations(items)
    if hasattr(config, "workerinput"):
        longest_first(items)


@pytest.fixture(autouse=True)
def signals_kept() -> Iterator[None]:
    """What a test or a library that it uses (Ray) has this process do on a request to end, it does no longer."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def cuda(framework: str) -> None:
    """Skips a test marked `gpu`, with the reason, where its framework has no usable GPU."""
    from impls.contract import PACKAGES, describe_device, installed

    if not installed(framework):
        pytest.skip(f"the package {PACKAGES[framework]!r} is not installed")
    report = describe_device(framework)
    if not report.cuda_devices:
        pytest.skip(report.problem)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, framework: str) -> str:
    """Has a test run on the CPU, and marked `gpu` on a device of its framework, where there is one."""
    name: str = request.param
    if name == "cuda":
        request.getfixturevalue("cuda")
    return name
