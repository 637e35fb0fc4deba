"""Both implementations behind one face for tests: build, run, differentiate; NumPy in and out."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from impls.contract import Array, CellSpec, Parameters
from impls.parameters import initial_parameters

FORMS = ("cell", "layer")
CLASSES = {"lstm": "LSTM", "gru": "GRU", "skip_lstm": "SkipLSTM", "skip_gru": "SkipGRU"}


class Run(NamedTuple):
    """h `[batch, time, units]`, gates `[batch, time, 1]`, leaves of the final state, gradients by name."""

    h: Array
    gates: Array
    state: list[Array]
    loss: float = 0.0
    gradients: Mapping[str, Array] = MappingProxyType({})


def build(framework: str, form: str, spec: CellSpec, *, stacked: bool | None = None, **options: Any) -> Any:
    """The public class of a framework for this spec; several layers, or `stacked`, are a stack.

    Layers run the reference engine unless told otherwise; `test_fast_….py` hold the fast one to it.
    """
    stacked = len(spec.units) > 1 if stacked is None else stacked
    name = CLASSES[spec.cell] if form == "layer" else f"{'Multi' if stacked else ''}{CLASSES[spec.cell]}Cell"
    arguments: dict[str, Any] = {
        "input_size": spec.input_size,
        "activation": spec.activation,
        "layer_norm": spec.layer_norm,
        "initial_state": spec.initial_state,
    }
    if "forget_bias" in spec.kind.options:
        arguments["forget_bias"] = spec.forget_bias
    if spec.skips:
        arguments |= {"update_bias": spec.update_bias, "gate": spec.gate}
        if form == "layer" or stacked:
            arguments["gate_layer"] = spec.gate_layer
    if form == "layer":
        options = {"engine": "reference"} | options
    module = importlib.import_module(f"impls.{framework}")
    return getattr(module, name)(spec.units if stacked else spec.units[0], **arguments, **options)


def tensor(framework: str, array: Any) -> Any:
    """The framework's tensor of an array; None stays None."""
    if array is None:
        return None
    if framework == "pytorch":
        import torch

        return torch.tensor(np.asarray(array))
    import tensorflow as tf

    return tf.constant(array)


def call(module: Any, form: str, x: Any, state: Any = None, **draws: Any) -> tuple[Any, Any, Any]:
    """h, gates and state of a layer, or of a cell called step by step; tensors in and out."""
    if form == "layer":
        outputs, state = module(x, state, **draws)
        return outputs.h, outputs.state_gate, state
    hs, gates = [], []
    for t in range(x.shape[1]):
        outputs, state = module(x[:, t], state, **{name: draw[:, t : t + 1] for name, draw in draws.items()})
        hs.append(outputs.h)
        gates.append(outputs.state_gate)
    return _stack(hs), _stack(gates), state


def forward(framework: str, form: str, module: Any, x: Array, **draws: Array) -> Run:
    """Runs a cell or layer on `x`; no gradients."""
    given = {name: tensor(framework, draw) for name, draw in draws.items()}
    h, gates, state = call(module, form, tensor(framework, x), **given)
    return Run(array(h), array(gates), [array(leaf) for leaf in leaves(state)])


def run(
    framework: str,
    form: str,
    module: Any,
    x: Array,
    *,
    h_weight: Array | float = 1.0,
    gate_weight: Array | float = 0.0,
    traced: bool = False,
    **draws: Array,
) -> Run:
    """Runs a cell or layer on `x`, and differentiates the batch mean of `Σ h · h_weight + Σ gates · gate_weight`.

    `traced` runs TensorFlow's step or layer as a `tf.function`, kept for as long as the module: quicker where a
    module is called often with one shape.
    """
    given = {name: tensor(framework, draw) for name, draw in draws.items()}
    inputs = tensor(framework, x)
    named = module.parameters_by_name()
    weights = [np.asarray(weight, x.dtype) / len(x) for weight in (h_weight, gate_weight)]
    if framework == "pytorch":
        import torch

        inputs.requires_grad_()
        h, gates, state = call(module, form, inputs, **given)
        loss = sum((value * torch.as_tensor(weight)).sum() for value, weight in zip((h, gates), weights, strict=True))
        gradients = torch.autograd.grad(loss, [*named.values(), inputs], allow_unused=True)
    else:
        import keras
        import tensorflow as tf

        variables = [value.value if isinstance(value, keras.Variable) else value for value in named.values()]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            h, gates, state = call(_trace(module) if traced else module, form, inputs, **given)
            loss = sum(tf.reduce_sum(value * weight) for value, weight in zip((h, gates), weights, strict=True))
        gradients = tape.gradient(loss, [*variables, inputs])
    zeros = [*(np.zeros(value.shape) for value in named.values()), np.zeros(x.shape)]
    return Run(
        array(h),
        array(gates),
        [array(leaf) for leaf in leaves(state)],
        loss=float(array(loss)),
        gradients={
            name: zero if gradient is None else array(gradient)
            for name, gradient, zero in zip([*named, "x"], gradients, zeros, strict=True)
        },
    )


def leaves(state: Any) -> list[Any]:
    """The tensors of a state, in order."""
    if isinstance(state, (tuple, list)):
        return [leaf for part in state for leaf in leaves(part)]
    return [state]


def array(value: Any) -> Array:
    """The NumPy array of either framework's tensor."""
    return np.asarray(value.detach() if hasattr(value, "detach") else value.numpy())


def parameters_for(spec: CellSpec, *, seed: int = 1, scale: float = 1.0) -> Parameters:
    """Random values for every parameter, biases and gains too, in float64: nothing is left at 0 or 1."""
    generator = np.random.default_rng(seed)
    values = initial_parameters(spec, seed=seed)
    return {
        name: value.astype(np.float64) * scale + generator.normal(0.0, 0.1, value.shape)
        for name, value in values.items()
    }


def relative_difference(ours: Array, theirs: Array) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-30))


def assert_gradients_close(ours: Mapping[str, Array], theirs: Mapping[str, Array], *, tolerance: float) -> None:
    """Every gradient within a relative tolerance, reported by name."""
    assert set(ours) == set(theirs)
    differences = {name: relative_difference(ours[name], theirs[name]) for name in theirs}
    assert {name: value for name, value in differences.items() if not value <= tolerance} == {}


@functools.cache
def _trace(module: Any) -> Any:
    import tensorflow as tf

    return tf.function(module, autograph=False)  # to rewrite all that is called takes longer than to trace it


def _stack(steps: list[Any]) -> Any:
    if hasattr(steps[0], "detach"):
        import torch

        return torch.stack(steps, dim=1)
    import tensorflow as tf

    return tf.stack(steps, axis=1)
