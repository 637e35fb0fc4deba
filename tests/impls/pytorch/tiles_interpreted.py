"""The GPU's kernels in Triton's interpreter, on the CPU: `test_tiles.py` runs this file in a process of its own.

That shows what kernels compute, not how threads share the work: that `test_tiles_on_a_device.py` asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

import impls.pytorch
from impls.contract import ACTIVATIONS, CellSpec
from impls.errors import CellError
from impls.kinds import cells, skip_cells
from impls.pytorch import SkipGRU, SkipLSTM
from impls.pytorch.engines import fast
from impls.pytorch.engines.tiles import constants
from impls.pytorch.engines.tiles.packing import operands
from impls.pytorch.engines.tiles.precision import operand
from tests.impls.engines import assert_agree, random_case, run_engine, with_large_inputs
from tests.impls.test_fast_pytorch import case_for, compare


@pytest.fixture(autouse=True, scope="module")
def tiles() -> Any:
    """Sends every tensor through the kernels that are for a GPU, where programs share the steps of short sequences."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "implementation_of", lambda *_, **__: "tiles")
        patch.setattr(constants, "RUN_SPAN", 4)
        yield


@pytest.fixture(autouse=True, scope="module")
def unwritten_memory_is_nan() -> Any:
    """So that a number which no kernel has written is seen where it is read."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(1).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"layer_norm": True},
    {"gate": "bernoulli"},
    {"gate_layer": 0, "forget_bias": 0.3},
]


@pytest.mark.covering
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", skip_cells())
def test_options_from_any_state(cell: str, options: dict[str, Any]) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=(5, 2), update_bias=-1.0, **options)
    assert 0.0 < compare(case_for(spec, batch=5, time=6 if options else 13)) < 1.0


# Every activation, and in `make test-slow` in either kind of cell; the test of random cells has all.
@pytest.mark.covering("activation")
@pytest.mark.parametrize(
    ("cell", "activation"),
    [
        ("lstm", "relu"),
        ("skip_lstm", "sigmoid"),
        ("skip_gru", "identity"),
        ("skip_gru", "relu"),
        ("gru", "sigmoid"),
        ("lstm", "identity"),
    ],
)
def test_activations(cell: str, activation: str) -> None:
    compare(case_for(CellSpec(cell=cell, input_size=1, units=(3,), activation=activation), batch=3, time=4))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, in which the interpreter computes
def test_layer_norm_of_what_has_no_square_is_nan() -> None:
    """From the same size on as in the reference, and with its gradients."""
    spec = CellSpec(cell="skip_gru", input_size=2, units=(5,), layer_norm=True)
    case = with_large_inputs(spec, np.array([*np.logspace(17.5, 20.5, 7), 1e30]))
    found, expected = (run_engine("pytorch", engine, case, dtype="float32") for engine in ("fast", "reference"))
    assert 0.0 < np.isnan(expected.h).mean() < 1.0
    np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=1e-5)
    assert all(np.isnan(found.gradients[name]).all() for name in case.parameters)


@pytest.mark.covering
@pytest.mark.parametrize("updates", [None, 0.3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_plain_cells_and_random_skips(cell: str, updates: float | None) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(5, 4), layer_norm=updates is not None)
    compare(case_for(spec, batch=5, time=6, updates=updates, lengths=updates is not None))


@pytest.mark.parametrize("cell", ["skip_lstm", pytest.param("skip_gru", marks=pytest.mark.slow)])
def test_sequences_end_at_their_own_lengths(cell: str) -> None:
    """One has no step at all; what stands behind the ends is NaN."""
    spec = CellSpec(cell=cell, input_size=2, units=(3,), update_bias=-1.5)
    case = random_case(spec, batch=5, time=13, lengths=True)
    expected = run_engine("pytorch", "reference", case)
    case.inputs[np.arange(13) >= case.lengths[:, np.newaxis]] = np.nan
    assert_agree(run_engine("pytorch", "fast", case), expected)


@pytest.mark.parametrize(
    ("cell", "batch", "time", "units", "features"),
    [
        ("skip_lstm", 1, 1, (1,), 1),
        ("skip_gru", 1, 1, (1,), 1),
        ("skip_gru", 18, 3, (17,), 1),
        ("skip_lstm", 2, 2, (8,), 40),
    ],
)
def test_odd_sizes(cell: str, batch: int, time: int, units: tuple[int, ...], features: int) -> None:
    """The smallest sizes, more sequences than a tile, more units than a panel, and inputs deeper than a block."""
    spec = CellSpec(cell=cell, input_size=features, units=units, layer_norm=units == (1,))
    compare(case_for(spec, batch=batch, time=time, fresh=True))


@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@pytest.mark.parametrize("cell", ["LSTM", "SkipGRU"])
def test_an_infinite_input_saturates(cell: str) -> None:
    inputs = torch.randn(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inputs[0, 0, 0] = torch.inf
    found = []
    for engine in ("reference", "fast"):
        layer = getattr(impls.pytorch, cell)(5, input_size=2, seed=0, dtype="float64", engine=engine)
        outputs, _ = layer(inputs)
        outputs.h.sum().backward()
        found.append([*outputs, *(value.grad for name, value in layer.named_parameters() if name.endswith("biases"))])
    for one, other in zip(*found, strict=True):
        if one is not None:
            assert one.isfinite().all()
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("bias", [-np.inf, pytest.param(-4.0, marks=pytest.mark.slow), np.inf])
def test_one_update_few_and_all(bias: float) -> None:
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(5,), update_bias=bias)
    mean = compare(case_for(spec, batch=4, time=10, seed=3, fresh=True))
    assert mean == {-np.inf: 1 / 10, np.inf: 1.0}.get(bias, mean)


@pytest.mark.parametrize("bias", [-4.0, -np.inf])
def test_runs_longer_than_a_programs_share_of_the_steps(bias: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "RUN_SPAN", 2)
    spec = CellSpec(cell="skip_gru", input_size=1, units=(2,), update_bias=bias)
    case = random_case(spec, batch=3, time=17, gate_scale=0.5, lengths=True)
    expected = run_engine("pytorch", "reference", case)
    assert 0.0 < expected.gates.mean() < 0.25
    assert_agree(run_engine("pytorch", "fast", case), expected)


@pytest.mark.parametrize("cell", ["lstm", "skip_gru"])
def test_single_precision(cell: str) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(20,), update_bias=-1.0)
    compare(case_for(spec, batch=5, time=6), torch.float32)


@pytest.mark.covering
@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("skip_lstm", {"input_size": 3, "units": (6, 5)}),
        ("skip_gru", {"input_size": 7, "units": (5,), "layer_norm": True}),
        ("gru", {"input_size": 2, "units": (18,)}),
        pytest.param("lstm", {"input_size": 17, "units": (6,)}, marks=pytest.mark.slow),
        pytest.param("skip_gru", {"input_size": 3, "units": (6, 5)}, marks=pytest.mark.slow),
        pytest.param("skip_lstm", {"input_size": 17, "units": (33,), "gate": "bernoulli"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_products_of_operands_in_bfloat16(cell: str, options: dict[str, Any]) -> None:
    """The reference's to float64's digits: every product of the way there and back rounds what it rounds there."""
    case = random_case(CellSpec(cell=cell, update_bias=-1.0, precision="bfloat16", **options), batch=4, time=6)
    assert_agree(run_engine("pytorch", "fast", case), run_engine("pytorch", "reference", case))


class ProductInTF32(torch.autograd.Function):
    """What a card multiplies in TF32, written for the CPU, where the reference engine has none."""

    @staticmethod
    def forward(ctx: Any, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(left, right)
        return in_tf32(left) @ in_tf32(right)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (left, right), g = (map(in_tf32, ctx.saved_tensors)), in_tf32(cotangents[0])
        return g @ right.T, left.flatten(0, -2).T @ g.flatten(0, -2)


def in_tf32(values: torch.Tensor) -> torch.Tensor:
    """Rounded to 11 significant bits, by the exponent: to nearest, ties to even, as NumPy rounds."""
    fraction, exponent = np.frexp(values.detach().numpy().astype(np.float32).astype(np.float64))
    return torch.tensor(np.ldexp(np.round(fraction * 2.0**11) / 2.0**11, exponent)).to(values.dtype)


@pytest.mark.parametrize(
    ("cell", "features"), [("skip_lstm", 3), ("gru", 6), pytest.param("skip_gru", 6, marks=pytest.mark.slow)]
)
def test_products_of_operands_in_tf32(cell: str, features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, which has room for the sums: kernels round what a card would, and nothing else."""
    from impls.pytorch import adjoints, equations
    from impls.pytorch.engines.tiles import tile_sizes

    def product(left: torch.Tensor, right: torch.Tensor, *, precision: str) -> torch.Tensor:
        assert precision == "tf32"
        return ProductInTF32.apply(left, right)

    monkeypatch.setattr(tile_sizes, "precision_of", lambda *_, **__: "tf32")
    for module in (adjoints, equations):
        monkeypatch.setattr(module, "product", product)
    spec = CellSpec(cell=cell, input_size=features, units=(6, 5), update_bias=-1.0, precision="tf32")
    case = random_case(spec, batch=4, time=6)
    expected = run_engine("pytorch", "reference", case)
    assert_agree(run_engine("pytorch", "fast", case), expected)
    monkeypatch.undo()
    exact = run_engine("pytorch", "reference", case)
    assert 1e-6 < np.abs(expected.h - exact.h).max() < 1e-2


@triton.jit
def round_operands(source, target, COUNT: tl.constexpr, PRECISION: tl.constexpr):
    at = tl.arange(0, COUNT)
    tl.store(target + at, operand(tl.load(source + at), PRECISION))


@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_operands_are_rounded_to_nearest(precision: str) -> None:
    """In kernels and in the matrices that they read; ties go to even, infinities and every NaN stay."""
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2**32, 4096, dtype=np.uint64).astype(np.uint32).view(np.float32)
    digits = {"tf32": 11, "bfloat16": 8}[precision]
    half = 2.0**-digits
    ties = [1.0 + half, 1.0 + 3 * half, -1.0 - half, -1.0 - 3 * half]
    values[:8] = [*ties, np.inf, -np.inf, 3.4e38, 0.0]
    values[8:10] = np.array([0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)  # the first is a card's own NaN
    normal = (np.abs(values) >= 2.0**-126) & np.isfinite(values)
    fraction, exponent = np.frexp(values[normal].astype(np.float64))
    expected = values.copy()
    expected[normal] = np.ldexp(np.round(fraction * 2.0**digits) / 2.0**digits, exponent)
    source = torch.tensor(values)
    inside = torch.empty_like(source)
    round_operands[(1,)](source, inside, len(values), precision)
    for found in (inside, operands(source, precision=precision)):
        checked = normal | ~np.isfinite(values)
        np.testing.assert_array_equal(found.numpy()[checked], expected[checked])
        assert found[:4].tolist() == [1.0, 1.0 + 4 * half, -1.0, -1.0 - 4 * half]
        assert np.abs(found.numpy()[~checked] - values[~checked]).max() < 2.0**-126 * half


@pytest.mark.parametrize("cell", ["lstm", "skip_gru"])
def test_last_step_alone(cell: str) -> None:
    spec = CellSpec(cell=cell, input_size=2, units=(5,), update_bias=-1.0)
    case = random_case(spec, batch=4, time=6, every_step=False, lengths=True)
    assert_agree(run_engine("pytorch", "fast", case), run_engine("pytorch", "reference", case))


@pytest.mark.parametrize("gate", ["round", "bernoulli"])
def test_a_gate_that_reads_nan(gate: str) -> None:
    """From there on all of its sequence is NaN; the other sequences do not notice."""
    spec = CellSpec(cell="skip_lstm", input_size=2, units=(4,), gate=gate, update_bias=-0.5)
    case = random_case(spec, batch=4, time=9, seed=3, gate_scale=0.5)
    clean = run_engine("pytorch", "reference", case)
    case.state[-2][1] = np.nan  # Δũ from the start
    case.state[-1][2] = np.nan  # the stored ũ
    case.inputs[3, np.flatnonzero(clean.gates[3])[1]] = np.nan  # the Δũ of the second update
    expected, found = (run_engine("pytorch", engine, case) for engine in ("reference", "fast"))
    assert np.isnan(expected.gates).any(axis=(1, 2)).tolist() == [False, True, True, True]
    np.testing.assert_array_equal(found.gates, expected.gates)
    for ours, theirs in zip([found.h, *found.state], [expected.h, *expected.state], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    for name, theirs in expected.gradients.items():
        if name in case.parameters:
            assert np.isnan(found.gradients[name][np.isnan(theirs)]).all(), name
        else:
            np.testing.assert_allclose(found.gradients[name][0], theirs[0], rtol=1e-9, atol=1e-12)


def test_ties_at_skipped_steps() -> None:
    """A Bernoulli gate skips whatever ũ is where the noise is 1: the one way to skip at a tie, of Δũ = 1 and ũ = 0.

    And the one way to stay at the bound: the first sequence never updates.
    """
    spec = CellSpec(cell="skip_gru", input_size=2, units=(5,), gate="bernoulli")
    case = random_case(spec, batch=4, time=9, fresh=True)
    case.draws["gate_noise"][::2, 0] = 1.0
    case.draws["gate_noise"][0] = 1.0
    expected = run_engine("pytorch", "reference", case)
    assert expected.gates[:, 0, 0].tolist() == [0, 1, 0, 1]
    assert_agree(run_engine("pytorch", "fast", case), expected)


@pytest.mark.parametrize("every_step", [True, False])
def test_without_a_gradient_nothing_is_kept_for_it(every_step: bool) -> None:
    """Where h is not wanted at every step either, a sequence's state changes between two places."""
    layer = SkipLSTM(5, input_size=2, engine="fast", dtype="float64", update_bias=-1.0, every_step=every_step)
    inputs = torch.randn(3, 12, 2, dtype=torch.float64)
    outputs, state = layer(inputs)
    with torch.no_grad():
        silent, last = layer(inputs)
    assert outputs.h.requires_grad
    assert not silent.h.requires_grad
    for ours, theirs in zip([*silent, *last], [*outputs, *state], strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.detach().numpy())


def test_the_gradient_can_be_had_twice_but_not_differentiated() -> None:
    layer = SkipGRU(5, input_size=2, engine="fast", update_bias=-1.0)
    outputs, _ = layer(torch.randn(3, 7, 2))
    first, second = (torch.autograd.grad(outputs.h.sum(), [*layer.parameters()], retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    with pytest.raises(CellError, match="second derivative"):
        torch.autograd.grad(outputs.h.sum(), [*layer.parameters()], create_graph=True)


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_read_at_the_last_step_is_the_users_to_change(keep: bool) -> None:
    layer = SkipLSTM(3, input_size=2, every_step=False).requires_grad_(keep)
    outputs, state = layer(torch.randn(2, 4, 2))
    before = state.h.detach().clone()
    outputs.h.mul_(2.0)
    torch.testing.assert_close(state.h, before, rtol=0, atol=0)


def test_checkpointing_computes_the_same_gradient() -> None:
    layer = SkipGRU(3, input_size=2, update_bias=-1.0)
    inputs = torch.randn(2, 5, 2)
    whole = torch.autograd.grad(layer(inputs)[0].h.sum(), [*layer.parameters()])
    again = checkpoint(lambda x: layer(x)[0].h, inputs, use_reentrant=False)
    for ours, theirs in zip(torch.autograd.grad(again.sum(), [*layer.parameters()]), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}], ids=str)
@pytest.mark.parametrize("cell", ["gru", "skip_lstm"])
def test_no_sequences_have_no_gradient(cell: str, options: dict[str, Any]) -> None:
    layer = {"gru": impls.pytorch.GRU, "skip_lstm": SkipLSTM}[cell]((3, 2), input_size=2, **options)
    outputs, _ = layer(torch.randn(0, 4, 2))
    assert outputs.h.shape == (0, 4, 2)
    for gradient in torch.autograd.grad(outputs.h.sum(), [*layer.parameters()], allow_unused=True):
        assert gradient is None or not gradient.any()


def test_one_graph_of_a_compiled_module() -> None:
    """`torch.compile` takes the operator and its gradient whole, where the kernels of the CPU break its graph.

    The interpreter multiplies with NumPy, whose sums follow how its arrays lie in memory: two runs agree to rounding.
    """
    layer = SkipLSTM(5, input_size=2, engine="fast", dtype="float64", update_bias=-1.0, initial_state="learned")
    inputs = torch.randn(3, 5, 2, dtype=torch.float64)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    gradients = []
    for form in (compiled, layer):
        outputs, state = form(inputs)
        loss = (outputs.h * torch.linspace(-1, 1, 5)).sum() + outputs.state_gate.sum() + state.c.sum()
        gradients.append([outputs.h, *torch.autograd.grad(loss, [*layer.parameters()])])
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("keep", [True, False])
def test_what_the_operator_tells_of_its_results(keep: bool) -> None:
    """Shapes and types without running, no aliases, the same gradient traced and not: PyTorch's own checks."""
    from impls.pytorch.engines.tiles import operator
    from impls.pytorch.engines.tiles.packing import names_of

    spec = CellSpec(cell="skip_lstm", input_size=2, units=(3, 2), update_bias=-1.0)
    case = case_for(spec, batch=2, time=4)
    arrays = [*case.state, *(case.parameters[name] for name in names_of(spec))]
    tensors = [torch.tensor(value, requires_grad=keep) for value in arrays]
    arguments = (torch.tensor(case.inputs), None, None, tensors, keep, True, *operator.options_of(spec))
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator.unroll, arguments, test_utils=checks)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    cell=st.sampled_from(cells()),
    units=st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple),
    features=st.integers(1, 7),
    batch=st.integers(1, 18),
    time=st.integers(1, 12),
    activation=st.sampled_from(ACTIVATIONS),
    layer_norm=st.booleans(),
    gate=st.sampled_from(("round", "bernoulli")),
    lengths=st.booleans(),
    every_step=st.booleans(),
    updates=st.sampled_from((None, 0.0, 0.4)),
    precision=st.sampled_from(("float32", "bfloat16")),
)
def test_against_the_reference(
    seed: int,
    cell: str,
    units: tuple[int, ...],
    features: int,
    batch: int,
    time: int,
    activation: str,
    layer_norm: bool,
    gate: str,
    lengths: bool,
    every_step: bool,
    updates: float | None,
    precision: str,
) -> None:
    skips = cell in skip_cells()
    spec = CellSpec(
        cell=cell,
        input_size=features,
        units=units,
        activation=activation,
        layer_norm=layer_norm,
        gate=gate if skips else "round",
        gate_layer=seed % len(units),
        update_bias=-1.0,
        precision=precision,
    )
    case = random_case(
        spec,
        batch=batch,
        time=time,
        seed=seed,
        lengths=lengths,
        every_step=every_step,
        updates=None if skips else updates,
    )
    expected = run_engine("pytorch", "reference", case)
    if case.lengths is not None:
        case.inputs[np.arange(time) >= case.lengths[:, np.newaxis]] = np.nan
    assert_agree(run_engine("pytorch", "fast", case), expected)
