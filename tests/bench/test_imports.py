"""The import rules: data flow one way, and only an implementation imports its framework."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORK_PACKAGES = {"torch", "tensorflow", "keras"}
OWN_FRAMEWORK = {"pytorch": {"torch"}, "tensorflow": {"tensorflow", "keras"}}


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported(path)}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


# Extracts features from videos, once, in PyTorch.
FRAME_ENCODER = ROOT / "bench" / "data" / "frame_encoder.py"


@pytest.mark.parametrize(
    "path", [path for path in files("bench") if path != FRAME_ENCODER], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_harness_imports_no_framework_and_only_the_contracts_side_of_impls(path: Path) -> None:
    assert not packages(path) & FRAMEWORK_PACKAGES
    assert not any(module.startswith(("impls.pytorch", "impls.tensorflow")) for module in imported(path))


@pytest.mark.parametrize("path", files("impls"), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_implementation_knows_no_task_and_no_other_framework(path: Path) -> None:
    assert "bench" not in packages(path)
    folder = path.relative_to(ROOT / "impls").parts[0]
    allowed = OWN_FRAMEWORK.get(folder, set())
    assert not (packages(path) & FRAMEWORK_PACKAGES) - allowed
    for other in OWN_FRAMEWORK.keys() - {folder}:
        assert not any(module.startswith(f"impls.{other}") for module in imported(path))


# The rooms of the harness, from the roof down: each may import those below it. A report reads records alone.
FLOORS = ("cli", "launch", "train", "records", "plan", "tasks", "data", "machine")
BELOW = {room: set(FLOORS[number:]) for number, room in enumerate(FLOORS)}
BELOW["report"] = {"report", "records", "plan", "machine"}
BELOW["speed"] = {"speed", "machine"}
BELOW["cli"] |= {"report", "speed"}
EVERYWHERE = {"errors"}  # what is told to the user


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", files("bench"), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_downwards_alone(path: Path) -> None:
    parts = path.relative_to(ROOT / "bench").parts
    if len(parts) == 1:
        assert parts[0] in ("__init__.py", "__main__.py", "errors.py"), "a file of the harness has a room"
        return
    used = {room(module) for module in imported(path) if module.startswith("bench.")}
    assert used - EVERYWHERE <= BELOW[parts[0]]


def test_no_room_imports_one_that_imports_it() -> None:
    known = {above: below - {above} for above, below in BELOW.items()}
    for above, below in known.items():
        assert not any(above in known[other] for other in below)


def rooms_of(floor: str) -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "bench" / floor).glob("*/__init__.py"))


@pytest.mark.parametrize("floor", ["launch", "records", "report"])
def test_rooms_within_a_room_import_one_way(floor: str) -> None:
    """None of them imports one that imports it, however many lie between."""
    inner = rooms_of(floor)
    below: dict[str, set[str]] = {
        name: {other for path in files(f"bench/{floor}/{name}") for other in inner if used_of(path, f"{floor}.{other}")}
        - {name}
        for name in inner
    }
    while leaves := [name for name, used in below.items() if not used & below.keys()]:
        for name in leaves:
            del below[name]
    assert len(inner) > 1
    assert not below


def used_of(path: Path, module: str) -> bool:
    """Whether a file imports `bench.MODULE`, or of it."""
    return any(f"{name}.".startswith(f"bench.{module}.") for name in imported(path))


def test_training_imports_no_framework_before_it_builds_a_learner() -> None:
    """Neither through a library: a trial would hold two, and fail where the other is broken."""
    program = f"import sys, bench.train.training; print({FRAMEWORK_PACKAGES!r} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    ("framework", "other"), [("pytorch", {"tensorflow"}), pytest.param("tensorflow", {"torch"}, marks=pytest.mark.slow)]
)
def test_either_framework_alone_is_enough_for_its_own_trials(framework: str, other: set[str], tmp_path: Path) -> None:
    program = f"""
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {other!r} else found(name, path, target)
PathFinder.find_spec = find_spec
from pathlib import Path
from bench.records.store import Store
from bench.train.training import run_trial
from bench.plan.trial import build_trial
protocol = dict(steps=2, batch_size=4, evaluate_every=2, evaluation_sequences=4)
trial = build_trial(
    dict(task="adding", cell="skip_lstm", units=3, framework={framework!r}, options=dict(length=4), protocol=protocol),
    where="test",
)
print(run_trial(trial, store=Store(Path({str(tmp_path)!r}))).status)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.stdout.strip() == "ok", done.stderr
