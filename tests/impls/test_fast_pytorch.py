"""PyTorch's fast engine against its reference: outputs, final state and every gradient."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import impls
from impls.contract import Array, CellSpec
from impls.errors import CellError
from impls.pytorch import SkipLSTM
from impls.pytorch.engines import fast, unroll
from impls.pytorch.equations import initial_state
from impls.states import FlatState, state_shapes
from tests.impls import recorded_runs
from tests.impls.frameworks import assert_gradients_close, build, parameters_for, run


@dataclass(frozen=True, kw_only=True)
class Case:
    """What goes in, in float64, and the cotangents of everything that comes out."""

    spec: CellSpec
    parameters: dict[str, Array]
    inputs: Array
    state: list[Array]
    draws: dict[str, Array]
    lengths: Array | None
    cotangents: list[Array]


def case_for(
    spec: CellSpec,
    *,
    batch: int,
    time: int,
    seed: int = 0,
    updates: float | None = None,
    fresh: bool = False,
    lengths: bool = False,
) -> Case:
    """Random values everywhere.

    `updates` is the random skip's ratio; `fresh` starts before the first step; with `lengths` sequences differ in
    theirs, from 0 to all steps, and have NaN behind their ends.
    """
    generator = np.random.default_rng(seed)
    parameters = {name: value for name, value in parameters_for(spec, seed=seed).items() if ".initial_" not in name}
    if spec.skips:
        parameters["update_gate.weights"] *= 2.0  # sequences that differ in their updates
        parameters["update_gate.biases"][:] = spec.update_bias
    widths = state_shapes(spec)
    state = [generator.normal(size=(batch, width)) for layer in widths.layers for width in layer]
    if spec.skips and fresh:
        state += [np.ones((batch, 1)), np.zeros((batch, 1))]
    elif spec.skips:  # anywhere between two updates
        state += [generator.uniform(0.05, 0.9, (batch, 1)), generator.uniform(0.0, 0.4, (batch, 1))]
    draws = {}
    if updates is not None:
        draws["updates"] = (generator.uniform(size=(batch, time)) < updates).astype(float)
    if spec.gate == "bernoulli":
        draws["gate_noise"] = generator.uniform(size=(batch, time))
    shapes = [(batch, time, spec.units[-1]), (batch, time, 1), *(leaf.shape for leaf in state)]
    inputs = generator.normal(size=(batch, time, spec.input_size))
    ends = generator.integers(0, time + 1, batch) if lengths else None
    if ends is not None:
        inputs[np.arange(time) >= ends[:, np.newaxis]] = np.nan
    return Case(
        spec=spec,
        parameters=parameters,
        inputs=inputs,
        state=state,
        draws=draws,
        lengths=ends,
        cotangents=[generator.normal(size=shape) for shape in shapes],
    )


def results(case: Case, engine: str, dtype: torch.dtype, device: str = "cpu") -> tuple[list[Array], dict[str, Array]]:
    """Outputs (h, gates, final state), and gradients by name."""

    def leaf(array: Array) -> torch.Tensor:
        return torch.tensor(array, dtype=dtype, device=device, requires_grad=True)

    spec = case.spec
    parameters = {name: leaf(value) for name, value in case.parameters.items()}
    inputs, state = leaf(case.inputs), [leaf(value) for value in case.state]
    count, width = len(state) - 2 * spec.skips, len(spec.kind.state)
    layers = tuple(tuple(state[at : at + width]) for at in range(0, count, width))
    draws = {name: torch.tensor(value, dtype=dtype, device=device) for name, value in case.draws.items()}
    lengths = None if case.lengths is None else torch.tensor(case.lengths, device=device)
    start = FlatState(layers, tuple(state[count:]))
    unrolled = unroll(spec, parameters, inputs, start, lengths=lengths, engine=engine, **draws)
    final = [part for layer in unrolled.state.layers for part in layer]
    outputs = [unrolled.h, unrolled.gates, *final, *unrolled.state.gate]
    named = {**parameters, "inputs": inputs, **{f"state {number}": part for number, part in enumerate(state)}}
    terms = [
        (output * torch.tensor(cotangent, dtype=dtype, device=device)).sum()
        for output, cotangent in zip(outputs, case.cotangents, strict=True)
        if output.requires_grad
    ]
    gradients = torch.autograd.grad(sum(terms), list(named.values()), allow_unused=True, materialize_grads=True)
    return (
        [output.detach().cpu().numpy() for output in outputs],
        {name: gradient.cpu().numpy() for name, gradient in zip(named, gradients, strict=True)},
    )


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("cell", ["lstm", "skip_lstm", "gru", "skip_gru"])
def test_last_step_alone(cell: str, engine: str) -> None:
    """Without `every_step`, h is that of the last step, and so is its gradient."""
    spec = CellSpec(cell=cell, input_size=3, units=(7, 5), initial_state="zeros")
    case = case_for(spec, batch=4, time=9)
    found = []
    for every_step in (True, False):
        parameters = {name: torch.tensor(value, requires_grad=True) for name, value in case.parameters.items()}
        inputs = torch.tensor(case.inputs)
        start = initial_state(case.spec, parameters, batch=4, like=inputs)
        h, gates, _ = unroll(case.spec, parameters, inputs, start, every_step=every_step, engine=engine)
        assert h.shape == (4, 9 if every_step else 1, 5)
        assert gates.shape == (4, 9, 1)
        loss = torch.sin(h[:, -1]).sum() + (0.1 * gates.sum() if case.spec.skips else 0.0)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
        found.append((h[:, -1].detach(), *gradients))
    for whole, last in zip(*found, strict=True):
        torch.testing.assert_close(last, whole, rtol=1e-12, atol=1e-14)


def compare(case: Case, dtype: torch.dtype = torch.float64, device: str = "cpu") -> float:
    """Asserts that both engines agree, to rounding; returns the mean gate.

    In float32 the rounding of a sum grows with its terms' size, and with the root of their number.
    """
    (outputs, gradients), (skipping, skipping_gradients) = (
        results(case, engine, dtype, device) for engine in ("reference", "fast")
    )
    exact = dtype == torch.float64
    np.testing.assert_array_equal(skipping[1], outputs[1])
    terms = max(1.0, max(case.spec.units) / 64) ** 0.5
    for ours, theirs in zip(skipping, outputs, strict=True):
        size = max(1.0, np.abs(theirs).max(initial=0.0))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 if exact else 2e-6 * terms * size)
    assert_gradients_close(skipping_gradients, gradients, tolerance=1e-9 if exact else 5e-5)
    return float(outputs[1].mean())


SKIPS = ["skip_lstm", "skip_gru"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"layer_norm": True},
    {"activation": "relu"},
    {"activation": "sigmoid", "layer_norm": True},
    {"activation": "identity"},
    {"gate": "bernoulli"},
    {"gate_layer": 0, "forget_bias": 0.3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("units", [(9,), (7, 1, 18)], ids=str)
@pytest.mark.parametrize("cell", SKIPS)
def test_options_from_any_state(cell: str, units: tuple[int, ...], options: dict[str, Any]) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=units, update_bias=-1.0, **options)
    assert 0.0 < compare(case_for(spec, batch=11, time=23)) < 1.0


@pytest.mark.parametrize("updates", [None, 0.0, 0.3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_plain_cells_and_random_skips(cell: str, updates: float | None) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(5, 20), layer_norm=updates is not None)
    compare(case_for(spec, batch=6, time=19, updates=updates))


@pytest.mark.parametrize("cell", SKIPS)
def test_every_update_ratio(cell: str) -> None:
    """From one update to all of them, with gates that are exactly 0 and 1."""
    ratios = [
        compare(
            case_for(
                CellSpec(cell=cell, input_size=2, units=(5,), update_bias=bias), batch=4, time=40, seed=3, fresh=True
            )
        )
        for bias in (-np.inf, -100.0, -5.0, -3.0, -1.5, -0.5, 0.5, 3.0, 100.0, np.inf)
    ]
    assert ratios[0] == 1 / 40
    assert ratios[-1] == 1.0
    assert ratios == sorted(ratios)


@pytest.mark.parametrize(
    ("batch", "time", "units", "features"), [(1, 1, (1,), 1), (1, 60, (1, 1), 1), (131, 5, (33,), 1), (3, 2, (8,), 300)]
)
@pytest.mark.parametrize("cell", SKIPS)
def test_odd_sizes(cell: str, batch: int, time: int, units: tuple[int, ...], features: int) -> None:
    """The smallest sizes, slabs that do not come out even, and inputs deeper than one block of a product."""
    spec = CellSpec(cell=cell, input_size=features, units=units, layer_norm=units == (1,))
    compare(case_for(spec, batch=batch, time=time, fresh=True))


@pytest.fixture
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends every tensor through the operations that serve other devices."""
    monkeypatch.setattr(fast, "implementation_of", lambda *_, **__: "operations")


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("cell", ["gru", "skip_lstm"])
def test_last_step_alone_in_dense_operations(cell: str) -> None:
    test_last_step_alone(cell, "fast")


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", SKIPS)
def test_options_in_dense_operations(cell: str, options: dict[str, Any]) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=(7, 1, 4), update_bias=-1.0, **options)
    assert 0.0 < compare(case_for(spec, batch=5, time=13)) < 1.0


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("updates", [None, 0.3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_plain_cells_in_dense_operations(cell: str, updates: float | None) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(5, 4), layer_norm=updates is not None)
    compare(case_for(spec, batch=5, time=13, updates=updates))


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("framework", ["pytorch"])
@pytest.mark.parametrize("cell", [*SKIPS, "lstm", "gru"])
def test_on_a_gpu(cell: str, framework: str) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(20, 110), update_bias=-1.0)
    compare(case_for(spec, batch=8, time=20), device="cuda")


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compare(case_for(CellSpec(cell="skip_lstm", input_size=2, units=(5,), update_bias=-1.0), batch=50, time=9))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("cell", [*SKIPS, "lstm", "gru"])
def test_single_precision(cell: str) -> None:
    """Without layer norm, which in an LSTM magnifies rounding errors; the recorded runs hold it to account."""
    spec = CellSpec(cell=cell, input_size=2, units=(20, 110), update_bias=-1.0)
    compare(case_for(spec, batch=8, time=20), torch.float32)


@pytest.mark.parametrize("name", recorded_runs.NAMES)
def test_recorded_run_is_reproduced(name: str) -> None:
    recorded = recorded_runs.load(name)
    layer = build("pytorch", "layer", recorded.spec, engine="fast")
    layer.load_parameters(recorded.parameters)
    ours = run(
        "pytorch", "layer", layer, recorded.x, h_weight=recorded.loss_weight, gate_weight=recorded.cost_per_sample
    )
    np.testing.assert_array_equal(ours.gates, recorded.state_gate)
    np.testing.assert_allclose(ours.h, recorded.h, rtol=0, atol=2e-6)
    assert_gradients_close(ours.gradients, recorded.gradients, tolerance=5e-5)


def test_only_the_last_output_is_read() -> None:
    """Gradients that do not come are not asked for; without any, nothing is kept for them."""
    layer = SkipLSTM(5, input_size=2, engine="fast", dtype="float64", update_bias=-1.0, seed=1)
    inputs = torch.randn(3, 12, 2, dtype=torch.float64)
    outputs, _ = layer(inputs)
    gradients = {}
    for engine in ("reference", "fast"):
        layer.engine = engine
        _, state = layer(inputs)
        gradients[engine] = [gradient.numpy() for gradient in torch.autograd.grad(state.h.sum(), [*layer.parameters()])]
    for ours, theirs in zip(gradients["fast"], gradients["reference"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        silent, _ = layer(inputs)
    assert not silent.h.requires_grad
    np.testing.assert_array_equal(silent.h.numpy(), outputs.h.detach().numpy())


def test_the_gradient_can_be_had_twice() -> None:
    layer = SkipLSTM(5, input_size=2, engine="fast", update_bias=-1.0)
    outputs, _ = layer(torch.randn(3, 12, 2))
    first, second = (torch.autograd.grad(outputs.h.sum(), [*layer.parameters()], retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


# torch.compile reads `.grad` of what crosses a break in its graph.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_beside_the_graph_of_a_compiled_module() -> None:
    layer = SkipLSTM(5, input_size=2, engine="fast", update_bias=-1.0)
    inputs = torch.randn(3, 9, 2)
    compiled = torch.compile(layer, backend="aot_eager")
    for ours, theirs in zip(compiled(inputs)[0], layer(inputs)[0], strict=True):
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
    exported = torch.export.export(layer, (inputs,)).module()
    for ours, theirs in zip(exported(inputs)[0], layer(inputs)[0], strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-6)


def test_what_it_refuses() -> None:
    spec = CellSpec(cell="lstm", input_size=2, units=(3,))
    parameters = {name: torch.tensor(value) for name, value in parameters_for(spec).items()}
    inputs = torch.zeros(1, 4, 2, dtype=torch.float64)
    start = initial_state(spec, parameters, batch=1, like=inputs)
    with pytest.raises(CellError, match="updates: a random skip's gate is data and has no gradient"):
        unroll(spec, parameters, inputs, start, updates=torch.ones(1, 4, requires_grad=True), engine="fast")
    layer = SkipLSTM(3, input_size=2, engine="fast")
    outputs, _ = layer(torch.zeros(1, 4, 2, requires_grad=True))
    with pytest.raises(CellError, match="second derivative"):
        torch.autograd.grad(outputs.h.sum(), [*layer.parameters()], create_graph=True)


@pytest.mark.slow
def test_cached_kernels_go_out_of_date_with_any_file_of_the_engine(tmp_path: Path) -> None:
    """A kernel holds copies of what it calls in other files: a change there must reach it."""
    program = (
        "import torch\n"
        "import impls.pytorch.engines.kernels.backward\n"
        "from impls.pytorch.engines.kernels.products import pack\n"
        "import numpy as np\n"
        "pack(np.zeros((1, 64), np.float32), 0, 0, 1, 64, np.zeros(64, np.float32), 0)\n"
        "print(sum(pack.stats.cache_hits.values()), sum(pack.stats.cache_misses.values()))\n"
    )
    copy = tmp_path / "copy"
    shutil.copytree(Path(impls.__file__).parent, copy / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(copy)}

    def hits_and_misses() -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=True).stdout

    assert hits_and_misses().split() == ["0", "1"]
    assert hits_and_misses().split() == ["1", "0"]
    (copy / "impls" / "pytorch" / "engines" / "kernels" / "activations.py").touch()
    assert hits_and_misses().split() == ["0", "1"]


@pytest.mark.slow
def test_a_kernel_gives_the_same_bits_freshly_compiled_and_from_the_cache(tmp_path: Path) -> None:
    """Compiled anew, a kernel is copied into others; from the cache it is found whole: no rounding may differ."""
    program = """
import hashlib
import numpy as np, torch
from impls.pytorch import SkipGRU, SkipLSTM

told = hashlib.sha256()
for layer_class in (SkipGRU, SkipLSTM):
    for layer_norm in (False, True):
        layer = layer_class(40, input_size=5, seed=1, update_bias=-0.5, layer_norm=layer_norm)
        inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 15, 5)).astype(np.float32)).requires_grad_()
        outputs, _ = layer(inputs)
        loss = outputs.h.square().sum() + outputs.state_gate.sum()
        for tensor in (outputs.h, *torch.autograd.grad(loss, [*layer.parameters(), inputs])):
            told.update(tensor.detach().numpy().tobytes())
print(told.hexdigest())
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    root = Path(impls.__file__).parents[1]
    fresh, cached = (
        subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert fresh == cached
