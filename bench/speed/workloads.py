"""What the benchmarks run: a workload, and how it becomes a step that can be timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from impls.contract import (
    ENGINES,
    Batch,
    CellSpec,
    Evaluation,
    Learner,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    StepResult,
    as_float32,
    build_baseline,
    build_learner,
)
from impls.kinds import skip_cells
from impls.parameters import initial_parameters

CLASSES = 10
# How far the gate's step is moved off the tie at 0.5, where rounding errors would decide.
NUDGE = 1.001
SEED = 1


class UpdateRatioError(Exception):
    """A workload did not update as often as it was set to."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One thing to time.

    Attributes:
        framework: one of `FRAMEWORKS`.
        subject: an engine, or a baseline of the framework.
        cell: one of `cells()`; baselines have a plain one.
        input_size, units, length, batch_size: sizes.
        updates_every: n, where the state is updated at every n-th step, from the first on.
        training: forward, backward, clip and Adam, else forward alone.
        device: `cpu` or `cuda`.
        threads: of the framework; 0 leaves its own default.
        precision: of the matrix products, one of `PRECISIONS`.
    """

    framework: str
    subject: str
    cell: str
    input_size: int
    units: int
    length: int
    batch_size: int
    updates_every: int
    training: bool
    device: str = "cpu"
    threads: int = 0
    precision: str = "float32"

    @property
    def updates(self) -> int:
        """Updates of a sequence: at the first step (eq. 2 starts from ũ = 1) and every n-th after it."""
        return math.ceil(self.length / self.updates_every)

    def __str__(self) -> str:
        words = f"{self.framework}-{self.subject}-{self.cell}-T{self.length}-B{self.batch_size}-U{self.units}"
        words += f"-{self.precision}" if self.precision != "float32" else ""
        return f"{words}-1of{self.updates_every}" if self.updates_every > 1 else words


def model_spec(workload: Workload) -> ModelSpec:
    """One layer with a readout of ten classes at its last step."""
    cell = CellSpec(
        cell=workload.cell,
        input_size=workload.input_size,
        units=(workload.units,),
        precision=workload.precision,
    )
    return ModelSpec(cell=cell, output_size=CLASSES, loss="cross_entropy", budget_cost=1e-4)


def random_batch(workload: Workload) -> Batch:
    """Inputs from N(0, 1), never zero, and random classes."""
    generator = np.random.default_rng(SEED)
    shape = (workload.batch_size, workload.length, workload.input_size)
    return Batch(
        inputs=as_float32(generator.standard_normal(shape)),
        targets=generator.integers(CLASSES, size=workload.batch_size, dtype=np.int32),
    )


def parameters_of(workload: Workload) -> Parameters:
    """Initial parameters with a skip gate that fires at the n-th step after an update, whatever the state.

    The gate's weights are 0 and its bias is logit(p), so that ũ grows by p at every step: with p a little above
    0.5 / n it first rounds to 1 after n of them.
    """
    parameters = initial_parameters(model_spec(workload), seed=SEED)
    if workload.cell in skip_cells():
        p = NUDGE * 0.5 / workload.updates_every
        parameters["update_gate.weights"] = np.zeros_like(parameters["update_gate.weights"])
        parameters["update_gate.biases"] = np.full_like(parameters["update_gate.biases"], math.log(p / (1 - p)))
    return parameters


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A workload that is compiled and warm.

    Attributes:
        step: runs it once; returns when the device has finished.
        first_seconds: the first step of its shape, which compiles.
        later_seconds: the step before this moment.
        implementation: what an engine ran, as `Learner` tells it; empty of a baseline.
    """

    step: Callable[[], object]
    first_seconds: float
    later_seconds: float
    implementation: str


class Preparation:
    """Prepares workloads, and keeps what they share: one model serves all update ratios, so it compiles once.

    A learning rate of 0 keeps the parameters, and with them the update ratio, while every operation is done.
    """

    def __init__(self) -> None:
        self._learners: dict[Workload, Learner] = {}
        self._baselines: dict[Workload, Callable[[], object]] = {}
        self._first_seconds: dict[Workload, float] = {}
        self._seconds: dict[Workload, float] = {}

    @property
    def begun(self) -> bool:
        """Whether a workload was prepared."""
        return bool(self._seconds)

    def seconds(self, workload: Workload) -> float:
        """What a warm step of the workload took when it was first prepared; 0 before that."""
        return self._seconds.get(workload, 0.0)

    def prepare(self, workload: Workload) -> Prepared:
        """Builds the workload, or takes it up again, and runs it; raises `UpdateRatioError` as `check_updates`."""
        if workload.subject in ENGINES:
            learner = self._learner(workload)
            step, implementation = _engine_step(learner, workload), learner.implementation
        else:
            step, implementation = self._baseline_step(workload), ""
        shape = replace(workload, updates_every=1)
        if shape not in self._first_seconds:
            started = time.perf_counter()
            step()
            self._first_seconds[shape] = time.perf_counter() - started
        started = time.perf_counter()
        result = step()
        seconds = time.perf_counter() - started
        self._seconds.setdefault(workload, seconds)
        check_updates(workload, result)
        return Prepared(
            step=step,
            first_seconds=self._first_seconds[shape],
            later_seconds=seconds,
            implementation=implementation,
        )

    def _learner(self, workload: Workload) -> Learner:
        model = replace(workload, length=0, batch_size=0, updates_every=1, training=False)
        if model not in self._learners:
            self._learners[model] = build_learner(
                workload.framework,
                model=model_spec(workload),
                optimizer=OptimizerSpec(learning_rate=0.0),
                parameters=parameters_of(workload),
                engine=workload.subject,
                device=workload.device,
                threads=workload.threads,
            )
        return self._learners[model]

    def _baseline_step(self, workload: Workload) -> Callable[[], object]:
        if workload not in self._baselines:
            self._baselines[workload] = build_baseline(
                workload.framework,
                baseline=workload.subject,
                model=model_spec(workload),
                optimizer=OptimizerSpec(learning_rate=0.0),
                batch=random_batch(workload),
                training=workload.training,
                device=workload.device,
                threads=workload.threads,
            )
        return self._baselines[workload]


def _engine_step(learner: Learner, workload: Workload) -> Callable[[], object]:
    learner.load_parameters(parameters_of(workload))
    return partial(learner.train_step if workload.training else learner.evaluate, random_batch(workload))


def check_updates(workload: Workload, result: object) -> None:
    """Raises `UpdateRatioError` where an engine's step tells of other updates than were set."""
    if isinstance(result, StepResult):
        updates = result.updates
    elif isinstance(result, Evaluation):
        updates = float(result.gates.sum(axis=1).mean())
    else:  # a baseline
        return
    if updates != workload.updates:
        raise UpdateRatioError(f"{workload}: {updates:g} updates a sequence where {workload.updates} were set")
