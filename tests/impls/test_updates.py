"""The random skip's gate as data: values other than 0 and 1, and gradients of it, are refused by every engine."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from impls.contract import ENGINES, FRAMEWORKS, CellSpec
from impls.errors import CellError
from tests.impls.frameworks import FORMS, build, tensor
from tests.impls.test_refusals import refusal

# PyTorch's own, the first time that a process differentiates in forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
NO_GRADIENT = "updates: a random skip's gate is data and has no gradient; cut it off before the call"
X = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
UPDATES = np.random.default_rng(8).integers(0, 2, (4, 6)).astype(np.float32)


def built(framework: str, form: str = "layer", **options: Any) -> Any:
    return build(framework, form, CellSpec(cell="lstm", input_size=3, units=(5,)), **options)


def call(module: Any, form: str, x: Any, updates: Any) -> Any:
    return module(x, updates=updates) if form == "layer" else module(x[:, 0], updates=updates[:, :1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("wrong", [0.5, -1.0, 2.0, np.nan, 1 + 1e-6])
def test_values_other_than_0_and_1_are_refused(wrong: float, framework: str, form: str) -> None:
    updates = UPDATES.copy()
    updates[2, 0] = wrong
    module = built(framework, form)
    message = refusal(lambda: call(module, form, tensor(framework, X), tensor(framework, updates)))
    assert message == "updates has values other than 0 and 1"


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("kind", ["bool", "int32", "float64"])
def test_truths_and_whole_numbers_do(kind: str, framework: str) -> None:
    outputs, _ = built(framework)(tensor(framework, X), updates=tensor(framework, UPDATES.astype(kind)))
    np.testing.assert_array_equal(outputs.state_gate[..., 0].numpy(), UPDATES)


def test_traced_functions_assert_the_values() -> None:
    import tensorflow as tf

    layer = built("tensorflow")
    traced = tf.function(lambda updates: layer(X, updates=updates)[0].h)
    assert traced(UPDATES).shape == (4, 6, 5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="updates has values other than 0 and 1"):
        traced(UPDATES + 0.5)


def test_compiled_and_exported_layers_assert_the_values() -> None:
    import torch

    layer = built("pytorch")
    x, updates = torch.tensor(X[:, :2]), torch.tensor(UPDATES[:, :2])
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    exported = torch.export.export(layer, (x,), {"updates": updates}).module()
    for module in (compiled, exported):
        torch.testing.assert_close(module(x, updates=updates)[0].h, layer(x, updates=updates)[0].h)
        with pytest.raises(RuntimeError, match="updates has values other than 0 and 1"):
            module(x, updates=updates + 0.5)


# A cell has no engine, and it and a layer have h at every step.
CALLS = [("cell", "reference"), *((form, engine) for form in ("layer", "unroll") for engine in ENGINES)]
RESULTS = ("h", "gates", "state")
ASKED = [
    *((form, engine, of, True) for form, engine in CALLS for of in RESULTS),
    *(("unroll", "reference", of, False) for of in RESULTS),
    ("unroll", "fast", "h", False),
]


@pytest.mark.parametrize(("form", "engine"), CALLS)
def test_pytorch_refuses_a_gradient(engine: str, form: str) -> None:
    import torch
    from torch.autograd import forward_ad

    layer = built("pytorch", "cell" if form == "cell" else "layer", **({} if form == "cell" else {"engine": engine}))
    x = torch.tensor(X)

    def ask(updates: Any) -> Any:
        if form != "unroll":
            return call(layer, form, x, updates)[0].h.sum()
        engines, equations = (importlib.import_module(f"impls.pytorch.{name}") for name in ("engines", "equations"))
        parameters = layer.parameters_by_name()
        state = equations.initial_state(layer.spec, parameters, batch=4, like=x)
        return engines.unroll(layer.spec, parameters, x, state, updates=updates, engine=engine).h.sum()

    updates = torch.tensor(UPDATES)
    assert refusal(lambda: ask(updates.clone().requires_grad_())) == NO_GRADIENT
    assert refusal(lambda: torch.func.grad(ask)(updates)) == NO_GRADIENT
    with forward_ad.dual_level():
        assert refusal(lambda: ask(forward_ad.make_dual(updates, updates))) == NO_GRADIENT
    with torch.no_grad():
        assert torch.isfinite(ask(updates.clone().requires_grad_()))
    assert all(torch.isfinite(value).all() for value in torch.autograd.grad(ask(updates), list(layer.parameters())))


@pytest.mark.covering
@pytest.mark.parametrize(("form", "engine", "of", "every_step"), ASKED)
def test_tensorflow_refuses_a_gradient(engine: str, form: str, of: str, every_step: bool) -> None:
    """Whatever of the results it is asked of; in a traced function it is NaN, and all others are what they are."""
    import keras
    import tensorflow as tf

    options = {} if form == "cell" else {"engine": engine}
    module = built("tensorflow", "cell" if form == "cell" else "layer", **options)
    x, updates = tf.constant(X), tf.constant(UPDATES)
    parameters = [
        value.value if isinstance(value, keras.Variable) else value for value in module.parameters_by_name().values()
    ]

    def ask(updates: Any) -> Any:
        if form == "unroll":
            engines, equations = (
                importlib.import_module(f"impls.tensorflow.{name}") for name in ("engines", "equations")
            )
            named = {name: tf.convert_to_tensor(value) for name, value in module.parameters_by_name().items()}
            state = equations.initial_state(module.spec, named, batch=4, like=x)
            h, gates, state = engines.unroll(
                module.spec, named, x, state, updates=updates, engine=engine, every_step=every_step
            )
        else:
            (h, gates), state = call(module, form, x, updates)
        return tf.add_n([tf.reduce_sum(leaf) for leaf in tf.nest.flatten({"h": h, "gates": gates, "state": state}[of])])

    def gradients(updates: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(updates)
            result = ask(updates)
        return tape.gradient(result, updates)

    def of_parameters(updates: Any) -> Any:
        with tf.GradientTape() as tape:
            result = ask(updates)
        return tape.gradient(result, parameters, unconnected_gradients="zero")

    with pytest.raises(CellError) as caught:
        gradients(updates)
    assert str(caught.value) == NO_GRADIENT
    asked = tf.function(gradients, autograph=False)(updates).numpy()
    assert np.isnan(asked[:, 0] if form == "cell" else asked).all()
    eager, traced = of_parameters(updates), tf.function(of_parameters, autograph=False)(updates)
    for one, other in zip(eager, traced, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    if of != "gates":
        assert any(one.numpy().any() for one in eager)
    with tf.GradientTape() as tape:  # a traced function is given a gradient for all that it takes
        result = tf.function(ask, autograph=False)(updates)
    for one, other in zip(eager, tape.gradient(result, parameters, unconnected_gradients="zero"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
