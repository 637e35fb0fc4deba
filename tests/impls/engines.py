"""The four engines behind one face for tests: a case goes in, outputs and gradients of everything come out, as NumPy.

PyTorch's fast engine has a second body, `operations`, for tensors that its kernels do not read; it is a fifth here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from impls.contract import Array, CellSpec, Parameters
from impls.states import FlatState, state_shapes
from tests.impls.frameworks import parameters_for

ENGINES = (("pytorch", "reference"), ("pytorch", "fast"), ("tensorflow", "reference"), ("tensorflow", "fast"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """What an unrolled cell reads, in float64, and the cotangents of all that it gives.

    `draws` are `updates` or `gate_noise`; `lengths` `[batch]` is None where every sequence has every step. The
    cotangents are those of h, gates and the leaves of the final state, in this order.
    """

    spec: CellSpec
    parameters: Parameters
    inputs: Array
    state: list[Array]
    cotangents: list[Array]
    draws: Mapping[str, Array] = field(default_factory=dict)
    lengths: Array | None = None


class Results(NamedTuple):
    """h, gates, leaves of the final state, and the gradients of parameters, inputs and initial state by name."""

    h: Array
    gates: Array
    state: list[Array]
    gradients: dict[str, Array]


def random_case(
    spec: CellSpec,
    *,
    batch: int,
    time: int,
    seed: int = 0,
    gate_scale: float = 2.0,
    updates: float | None = None,
    fresh: bool = False,
    lengths: bool = False,
    every_step: bool = True,
) -> Case:
    """Random values everywhere, biases and gains too.

    Args:
        spec: the cell.
        batch, time: sizes.
        seed: of everything.
        gate_scale: what the skip gate's weights are multiplied by: sequences then differ in their updates.
        updates: the random skip's ratio, for plain cells.
        fresh: whether it starts where a cell does, with Δũ = 1 and a stored ũ of 0, or anywhere between two updates.
        lengths: whether sequences end early: one has no step, one all of them, the others any number.
        every_step: whether there is a cotangent for h at every step or at the last.
    """
    generator = np.random.default_rng(seed)
    parameters = {name: value for name, value in parameters_for(spec, seed=seed).items() if ".initial_" not in name}
    if spec.skips:
        parameters["update_gate.weights"] = parameters["update_gate.weights"] * gate_scale
        parameters["update_gate.biases"] = np.full(1, spec.update_bias)
    state = [generator.normal(size=(batch, width)) for layer in state_shapes(spec).layers for width in layer]
    if spec.skips and fresh:
        state += [np.ones((batch, 1)), np.zeros((batch, 1))]
    elif spec.skips:
        state += [generator.uniform(0.05, 0.9, (batch, 1)), generator.uniform(0.0, 0.4, (batch, 1))]
    draws = {}
    if updates is not None:
        draws["updates"] = (generator.uniform(size=(batch, time)) < updates).astype(float)
    if spec.gate == "bernoulli":
        draws["gate_noise"] = generator.uniform(size=(batch, time))
    ends = None
    if lengths:
        ends = generator.integers(0, time + 1, size=batch)
        ends[:2] = generator.permutation([0, time])[: min(batch, 2)]
    shapes = [(batch, time if every_step else 1, spec.units[-1]), (batch, time, 1), *(leaf.shape for leaf in state)]
    return Case(
        spec=spec,
        parameters=parameters,
        inputs=generator.normal(size=(batch, time, spec.input_size)),
        state=state,
        cotangents=[generator.normal(size=shape) for shape in shapes],
        draws=draws,
        lengths=ends,
    )


def with_large_inputs(spec: CellSpec, sizes: Array) -> Case:
    """A sequence for each size, whose first step, always an update, is as large as that; the last is ordinary."""
    case = random_case(spec, batch=len(sizes) + 1, time=3, seed=5, fresh=True)
    case.inputs[:-1, 0] = sizes[:, None] * [1.0, -1.0]
    return case


def run_engine(framework: str, engine: str, case: Case, *, dtype: str = "float64", call: str = "graph") -> Results:
    """Runs one engine on a case and differentiates `Σ output · cotangent`.

    Args:
        framework, engine: see `ENGINES`; of PyTorch `operations` besides.
        case: what goes in.
        dtype: the type of parameters and arithmetic.
        call: of TensorFlow, `eager`, inside a traced function (`graph`) or one that XLA compiles whole (`compiled`).
    """
    outputs, gradients = (_run_pytorch if framework == "pytorch" else _run_tensorflow)(engine, case, dtype, call)
    return Results(outputs[0], outputs[1], outputs[2:], gradients)


def relative_differences(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """By name, the norm of the difference over the norm; absolute where the gradient is nothing at all."""
    assert set(ours) == set(theirs)
    return {
        name: float(np.linalg.norm(ours[name] - value) / (float(np.linalg.norm(value)) or 1.0))
        for name, value in theirs.items()
    }


def assert_agree(ours: Results, theirs: Results, *, outputs: float = 1e-12, gradients: float = 1e-9) -> None:
    """Asserts equal gates, outputs within an absolute and gradients within a relative tolerance."""
    np.testing.assert_array_equal(ours.gates, theirs.gates)
    for mine, other in zip([ours.h, *ours.state], [theirs.h, *theirs.state], strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=outputs)
    differences = relative_differences(ours.gradients, theirs.gradients)
    assert {name: value for name, value in differences.items() if not value <= gradients} == {}


def flat_state(spec: CellSpec, leaves: list[Any]) -> FlatState:
    """The flat state of its leaves, in order."""
    width = len(spec.kind.state)
    count = width * len(spec.units)
    return FlatState(
        tuple(tuple(leaves[at : at + width]) for at in range(0, count, width)), tuple(leaves[count : count + 2])
    )


def _run_pytorch(engine: str, case: Case, dtype: str, _call: str) -> tuple[list[Array], dict[str, Array]]:
    import torch

    from impls.pytorch.engines import unroll
    from impls.pytorch.skip_gate import gate_dtype

    kind = getattr(torch, dtype)
    count = len(case.state) - 2 * case.spec.skips

    def leaf(array: Array, kind: torch.dtype = kind) -> torch.Tensor:
        return torch.tensor(array).to(kind).requires_grad_()

    parameters = {name: leaf(value) for name, value in case.parameters.items()}
    inputs = leaf(case.inputs)
    state = [leaf(value, kind if k < count else gate_dtype(kind)) for k, value in enumerate(case.state)]
    options: dict[str, Any] = {name: torch.tensor(value).to(kind) for name, value in case.draws.items()}
    if case.lengths is not None:
        options["lengths"] = torch.tensor(case.lengths)
    start = flat_state(case.spec, state)
    options["every_step"] = case.cotangents[0].shape[1] == case.inputs.shape[1]
    if engine == "operations":
        unrolled = unroll_operations(case.spec, parameters, inputs, start, **options)
    else:
        unrolled = unroll(case.spec, parameters, inputs, start, engine=engine, **options)
    final = [part for layer in unrolled.state.layers for part in layer]
    outputs = [unrolled.h, unrolled.gates, *final, *unrolled.state.gate]
    named = {**parameters, "inputs": inputs, **{f"state {number}": part for number, part in enumerate(state)}}
    terms = [
        (output * torch.tensor(cotangent).to(output.dtype)).sum()
        for output, cotangent in zip(outputs, case.cotangents, strict=True)
        if output.requires_grad
    ]
    gradients = torch.autograd.grad(sum(terms), list(named.values()), allow_unused=True, materialize_grads=True)
    return (
        [_exact(output.detach()) for output in outputs],
        {name: _exact(gradient) for name, gradient in zip(named, gradients, strict=True)},
    )


def unroll_operations(
    spec: CellSpec, parameters: Mapping[str, Any], inputs: Any, state: FlatState, *, every_step: bool, **options: Any
) -> Any:
    """PyTorch's fast engine by the operations that serve other devices than the CPU."""
    from impls.pytorch.engines.operations import OperationsUnroll
    from impls.pytorch.engines.unrolled import Unrolled

    draws = options.get("gate_noise" if spec.skips else "updates")
    leaves = [*(leaf for layer in state.layers for leaf in layer), *state.gate]
    h, gates, *last = OperationsUnroll.apply(
        spec, draws, options.get("lengths"), True, every_step, list(parameters), inputs, *leaves, *parameters.values()
    )
    final = flat_state(spec, last)
    return Unrolled(h if every_step else final.layers[-1][-1].unsqueeze(1), gates, final)


def _exact(tensor: Any) -> Array:
    """A PyTorch tensor as NumPy; bfloat16, which NumPy lacks, as float32."""
    import torch

    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _run_tensorflow(engine: str, case: Case, dtype: str, call: str) -> tuple[list[Array], dict[str, Array]]:
    import tensorflow as tf

    from impls.tensorflow.skip_gate import gate_dtype

    kind = tf.as_dtype(dtype)
    count = len(case.state) - 2 * case.spec.skips
    every_step = case.cotangents[0].shape[1] == case.inputs.shape[1]

    def constant(array: Array, kind: tf.DType = kind) -> tf.Tensor:
        return tf.cast(tf.constant(array), kind)

    state = [constant(value, kind if k < count else gate_dtype(kind)) for k, value in enumerate(case.state)]
    options = {name: constant(value) for name, value in case.draws.items()}
    if case.lengths is not None:
        options["lengths"] = tf.constant(case.lengths, tf.int32)
    parameters = {name: constant(value) for name, value in case.parameters.items()}
    cotangents = [tf.constant(value) for value in case.cotangents]
    run = _differentiated(case.spec, engine, call, every_step)
    outputs, (of_parameters, of_inputs, of_state) = run(parameters, constant(case.inputs), state, options, cotangents)
    named = {**of_parameters, "inputs": of_inputs, **{f"state {number}": part for number, part in enumerate(of_state)}}

    def exact(tensor: tf.Tensor) -> Array:
        return (tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy()

    return [exact(output) for output in outputs], {name: exact(gradient) for name, gradient in named.items()}


@functools.cache
def _differentiated(spec: CellSpec, engine: str, call: str, every_step: bool) -> Any:
    """Of one cell; compiled once a shape, so cases of one shape differ in values alone."""
    import tensorflow as tf

    from impls.tensorflow.engines import unroll

    def run(parameters: Any, inputs: Any, state: Any, options: Any, cotangents: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([parameters, inputs, state])
            start = flat_state(spec, list(state))
            unrolled = unroll(spec, parameters, inputs, start, engine=engine, every_step=every_step, **options)
            outputs = tf.nest.flatten(unrolled)
            terms = [tf.reduce_sum(a * tf.cast(b, a.dtype)) for a, b in zip(outputs, cotangents, strict=True)]
            loss = tf.add_n([tf.cast(term, tf.float64) for term in terms])
        gradients = tape.gradient(loss, [parameters, inputs, state], unconnected_gradients="zero")
        return outputs, gradients

    if call == "eager":
        return run
    return tf.function(run, autograph=False, jit_compile=call == "compiled")
