"""The only door between the harness and a framework: what goes in, what comes out, who answers.

Nothing here imports a framework. Arrays are NumPy; shapes are `[batch, time, features]` throughout.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from impls.kinds import KINDS, SKIP_PREFIX, Kind

Array = npt.NDArray[Any]
Parameters = dict[str, Array]
# Names and contents are told in `impls/learner_state.py`.
State = dict[str, Array]

FRAMEWORKS = ("pytorch", "tensorflow")
ENGINES = ("reference", "fast")
DEFAULT_ENGINE = "fast"
# The framework's own layer, as an engine: of a model alone, and of plain cells whose equations coincide with it.
NATIVE = "native"
MODEL_ENGINES = (*ENGINES, NATIVE)
NATIVE_KINDS = {"pytorch": ("lstm",), "tensorflow": ("lstm", "gru")}
# What engines run: `reference` and `native` are the engines of that name, the others are what `fast` is made of.
IMPLEMENTATIONS = {
    "pytorch": ("reference", "kernels", "tiles", "operations", NATIVE),
    "tensorflow": ("reference", "rounds", NATIVE),
}
# What engines are measured against: the framework's own layer, the same compiled by XLA, and the matrix products
# alone, which are the floor.
BASELINES = {"pytorch": ("native", "products"), "tensorflow": ("native", "native_jit", "products")}
DEVICES = ("cpu", "cuda")
# How matrix products are made; `docs/engines.md` says what each rounds.
PRECISIONS = ("float32", "tf32", "bfloat16")
GATES = ("round", "bernoulli")
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
INITIAL_STATES = ("learned", "zeros")
READOUTS = ("last", "every")
LOSSES = ("mean_squared_error", "cross_entropy", "binary_cross_entropy")
BUDGETS = ("cost_per_sample", "l1", "l2")

# The framework package behind each implementation; used to say what is missing without importing it.
PACKAGES = {"pytorch": "torch", "tensorflow": "tensorflow"}


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One recurrent cell or stack of cells, whatever the framework.

    `units` has one entry a layer. `update_bias` is the initial bias of the skip gate, `gate_layer` the layer
    whose candidate state feeds it (an index, negative from the top); both mean nothing to the plain cells.
    `precision`, one of `PRECISIONS`, is that of the matrix products, the readout's of a model included.
    """

    cell: str
    input_size: int
    units: tuple[int, ...]
    activation: str = "tanh"
    forget_bias: float = 1.0
    layer_norm: bool = False
    update_bias: float = 1.0
    initial_state: str = "learned"
    gate: str = "round"
    gate_layer: int = -1
    precision: str = "float32"

    @property
    def skips(self) -> bool:
        """Whether the cell has a learned skip gate."""
        return self.cell.startswith(SKIP_PREFIX)

    @property
    def kind(self) -> Kind:
        """What the plain cell and its skip variant share."""
        return KINDS[self.cell.removeprefix(SKIP_PREFIX)]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A cell with its readout and its loss: all that a framework needs to build what a trial trains.

    `readout` takes the state after the last step (`last`) or after every step (`every`) through one linear
    layer of `output_size`; `cross_entropy` is of the last alone. `vocabulary_size > 0` puts a trained embedding of
    width `cell.input_size` under the cell; inputs are then token numbers. `budget_target` is the number of updates
    that the `l1` and `l2` budget losses ask for; `cost_per_sample` has none. `dtype` is that of parameters and of all
    arithmetic but the products.
    """

    cell: CellSpec
    output_size: int
    loss: str
    readout: str = "last"
    budget: str = "cost_per_sample"
    budget_cost: float = 0.0
    budget_target: float = 0.0
    vocabulary_size: int = 0
    dtype: str = "float32"


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """Adam and clipping by global norm. Defaults are the paper's.

    `learning_rate` is that of the steps that are given none of their own. `clip_norm = 0` turns clipping off.
    """

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    clip_norm: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one training or evaluation step reads. Every random number of a step is in here.

    Shapes:
        inputs: `[batch, time, features]` float32, or `[batch, time]` int32 token numbers.
        targets: `[batch]` int32 classes (cross-entropy), else as the outputs, `[batch, outputs]` or, with
            `readout="every"`, `[batch, time, outputs]`: float32 (mean squared error), in {0, 1} (binary cross-entropy).
        mask: `[batch, time]` float32, 1 on real steps and 0 on padding, which may stand only at the end; None
            where every step is real.
        updates: `[batch, time]` float32 in {0, 1}: the random or periodic skip's gate for plain cells, else None.
        gate_noise: `[batch, time]` float32, U(0, 1): the draw behind a Bernoulli gate, else None.
        dropout: `[batch, units]` float32, the scaled dropout mask of the readout's input, else None.

    A learner takes any whole numbers for int32 ones, and any whole numbers, truths and floats for float32 ones; other
    shapes and values it refuses (`impls.checks.check_batch`).
    """

    inputs: Array
    targets: Array
    mask: Array | None = None
    updates: Array | None = None
    gate_noise: Array | None = None
    dropout: Array | None = None

    @property
    def size(self) -> int:
        """Number of sequences."""
        return int(self.inputs.shape[0])

    def arrays(self) -> dict[str, Array]:
        """The arrays that are present, by field name, in field order."""
        named = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: array for name, array in named if array is not None}


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One training step: the task's loss, the budget loss, and the mean number of updates a sequence."""

    loss: float
    budget_loss: float
    updates: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluated batch.

    Shapes:
        predictions: `[batch, outputs]` or, with `readout="every"`, `[batch, time, outputs]`; raw (logits). On padding
            they repeat the last real step's.
        gates: `[batch, time]`, 1 where the state was updated, 0 on skipped and on padded steps.
    """

    loss: float
    predictions: Array
    gates: Array


class Learner(Protocol):
    """A model in training. Built by `build_learner`; every array that crosses is NumPy.

    Attributes:
        implementation: what runs the time loop, one of `IMPLEMENTATIONS` of the framework: an engine may have several,
            by device and type.
        threads: how many the framework's operators may use.
    """

    implementation: str
    threads: int

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        """Forward, backward, clip, Adam; returns when the device has finished.

        `learning_rate` is this step's; None is the optimizer's.
        """
        ...

    def evaluate(self, batch: Batch) -> Evaluation:
        """Forward alone; returns when the device has finished."""
        ...

    def export_parameters(self) -> Parameters:
        """A copy of every parameter under its canonical name."""
        ...

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ."""
        ...

    def export_state(self) -> State:
        """A copy of all that the next step depends on: parameters, Adam's moments, steps done."""
        ...

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Goes on from a state, or raises `ParameterError` where names, shapes or types differ, and changes nothing.

        A state from the same framework and machine trains on bit for bit, on a GPU where sums have one order; one from
        the other framework, to rounding.
        """
        ...

    def device_memory_bytes(self) -> int | None:
        """The largest memory allocated on the GPU since the learner was built; None on the CPU."""
        ...


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """What a framework sees on this machine. `problem` is empty where CUDA is usable.

    `libraries` names the versions of CUDA and cuDNN that it was built with, and of the compiler of its kernels.
    """

    framework: str
    version: str
    cuda_devices: tuple[str, ...]
    problem: str
    libraries: str = ""


def installed(framework: str) -> bool:
    """Whether the framework's package can be found, without importing it."""
    return importlib.util.find_spec(PACKAGES[framework]) is not None


def import_learner(framework: str) -> None:
    """Imports one framework and its learner, and computes nothing.

    Processes that are forked from this one from now on start the framework's threads themselves, as a fresh process
    does; nothing of the framework may be computed here.
    """
    _module(framework, "learner")
    _module(framework, "device").start_threads_in_forks()


def build_learner(
    framework: str,
    *,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Mapping[str, Array],
    engine: str = DEFAULT_ENGINE,
    device: str = "cpu",
    threads: int = 0,
) -> Learner:
    """Imports one framework and builds its learner.

    Args:
        framework: one of `FRAMEWORKS`.
        model, optimizer: what to train and how.
        parameters: initial values under canonical names (`impls.parameters.initial_parameters`).
        engine: one of `MODEL_ENGINES`.
        device: `cpu` or `cuda`.
        threads: worker threads of the framework; 0 leaves its own default.
    """
    module = _module(framework, "learner")
    learner = module.Learner(
        model=model,
        optimizer=optimizer,
        parameters=parameters,
        engine=engine,
        device=device,
        threads=threads,
    )
    return cast(Learner, learner)


def build_baseline(
    framework: str,
    *,
    baseline: str,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    batch: Batch,
    training: bool,
    device: str = "cpu",
    threads: int = 0,
) -> Callable[[], object]:
    """Imports one framework and builds one step of a baseline, which returns when the device has finished.

    Args:
        framework: one of `FRAMEWORKS`.
        baseline: one of `BASELINES[framework]`. `native` and `native_jit` are the framework's own layer with the
            readout, loss, clipping and Adam that engines have; `products` is the matrix products of a cell that
            updates at every step, and nothing else: on a CPU step after step, on a GPU, where a loop of small ones
            would time their launches, each matrix's in one.
        model, optimizer: as for `build_learner`; of the cell, its kind, sizes and precision are read, of one layer,
            and of the loss, cross-entropy at the last step. In bfloat16 the framework's own layer computes wholly in
            it, its state too; PyTorch's also holds its parameters so, Keras's by its policy `mixed_bfloat16` does not.
        batch: what every step reads; of it, `products` takes the sizes.
        training: forward, backward, clip, Adam (of `products`: those of forward and backward), else forward alone.
        device: `cpu` or `cuda`.
        threads: worker threads of the framework; 0 leaves its own default.
    """
    module = _module(framework, "baselines")
    step = module.build_baseline(
        baseline=baseline,
        model=model,
        optimizer=optimizer,
        batch=batch,
        training=training,
        device=device,
        threads=threads,
    )
    return cast(Callable[[], object], step)


def check_multiplies(framework: str, *, precision: str, device: str) -> None:
    """Imports one framework; raises `CellError` where it does not multiply at this precision on the device."""
    importlib.import_module("impls.checks").check_precision(precision, device=device)
    _module(framework, "products").check_card(precision, device=device)


def describe_device(framework: str) -> DeviceReport:
    """Imports one framework and asks it for its version and its GPUs."""
    module = _module(framework, "device")
    return cast(DeviceReport, module.describe_device())


def _module(framework: str, name: str) -> Any:
    """Imports a module of a twin, and its framework with it.

    Keras is told to run on TensorFlow: what a trial computes does not hang on what the user's own programs run it on.
    """
    if framework == "tensorflow":
        os.environ["KERAS_BACKEND"] = "tensorflow"
    return importlib.import_module(f"impls.{framework}.{name}")


def as_float32(array: Array) -> Array:
    """A float32, C-contiguous view or copy."""
    return np.ascontiguousarray(array, dtype=np.float32)
