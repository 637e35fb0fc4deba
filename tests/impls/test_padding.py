"""Padding: a batch with a mask is as if every step were run, and what is no step masked afterwards."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.contract import ENGINES, FRAMEWORKS, Array, CellSpec, ModelSpec
from impls.parameters import initial_parameters
from tests.impls.frameworks import array, assert_gradients_close, tensor


def loss_of(framework: str, spec: ModelSpec, outputs: Any, gates: Any, batch: dict[str, Any]) -> Any:
    """The task's loss and the budget's."""
    losses = importlib.import_module(f"impls.{framework}.losses")
    of_task = losses.task_loss(spec.loss, outputs, batch["targets"], mask=batch.get("mask"))
    return of_task + losses.budget_loss(spec, gates.sum(1) if framework == "pytorch" else sum_of_steps(gates))


def sum_of_steps(gates: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(gates, axis=1)


# The seed chooses the cell. XLA compiles each model of TensorFlow's fast engine for seconds: that one is held to
# PyTorch's in `test_learner.py`, mask and all, and to its reference with NaN in the padding in
# `test_lengths_tensorflow.py`.
OFTEN = {"pytorch": range(6), "tensorflow": (0, 1, 5)}
PADDED = [
    pytest.param(
        framework,
        engine,
        seed,
        marks=pytest.mark.slow if seed not in OFTEN[framework] or (framework, engine) == ("tensorflow", "fast") else (),
    )
    for framework in FRAMEWORKS
    for engine in ENGINES
    for seed in range(6)
]


def masked_afterwards(framework: str, model: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    """Outputs and gates by running every step, padding too, then multiplying gates and picking last real steps."""
    equations, engines = (importlib.import_module(f"impls.{framework}.{name}") for name in ("equations", "engines"))
    spec, parameters, inputs = model.spec, model.parameters_by_name(), batch["inputs"]
    start = equations.initial_state(spec.cell, parameters, batch=len(inputs), like=inputs)
    draws = {name: batch.get(name) for name in ("updates", "gate_noise")}
    h, gates, _ = engines.unroll(spec.cell, parameters, inputs, start, **draws, engine="reference")
    if spec.readout == "last":
        last = array(batch["mask"]).sum(axis=1).astype(int) - 1
        picked = tensor(framework, np.eye(inputs.shape[1])[last][:, :, None])
        h = (h * picked).sum(1) if framework == "pytorch" else sum_of_steps(h * picked)
    outputs = h @ parameters["readout.weights"] + parameters["readout.biases"]
    return outputs, gates[:, :, 0] * batch["mask"]


def differentiated(
    framework: str, model: Any, run: Callable[[], tuple[Any, Any]], *, batch: dict[str, Any]
) -> tuple[tuple[Array, Array], dict[str, Array]]:
    """Outputs and gates, and the gradients of both losses by parameter, of one run."""
    named = model.parameters_by_name()
    if framework == "pytorch":
        import torch

        outputs, gates = run()
        found = torch.autograd.grad(loss_of(framework, model.spec, outputs, gates, batch), list(named.values()))
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs, gates = run()
            loss = loss_of(framework, model.spec, outputs, gates, batch)
        found = tape.gradient(loss, list(named.values()))
    gradients = {name: array(gradient) for name, gradient in zip(named, found, strict=True)}
    return (array(outputs), array(gates)), gradients


@pytest.mark.parametrize(("framework", "engine", "seed"), PADDED)
def test_padding_is_as_if_it_were_masked_afterwards(framework: str, engine: str, seed: int) -> None:
    """Random models and lengths; outputs on real steps, gates, and every gradient of both losses. NaN may pad."""
    draw = np.random.default_rng(seed)
    size, time, features = (int(number) for number in draw.integers([2, 3, 1], [7, 12, 4]))
    readout = ("last", "every")[seed % 2]
    spec = ModelSpec(
        cell=CellSpec(
            cell=("lstm", "skip_lstm", "gru", "skip_gru")[seed % 4],
            input_size=features,
            units=(4, 3),
            gate="bernoulli" if seed in (3, 5) else "round",
            update_bias=-0.5,
        ),
        output_size=2,
        loss="mean_squared_error",
        readout=readout,
        budget_cost=0.1,
        dtype="float64",
    )
    shape = (size, time) if readout == "every" else (size,)
    mask = (np.arange(time) < draw.integers(1, time + 1, (size, 1))).astype(np.float64)
    arrays = {
        "inputs": draw.standard_normal((size, time, features)),
        "targets": draw.standard_normal((*shape, 2)),
        "mask": mask,
    }
    if not spec.cell.skips:
        arrays["updates"] = (draw.random((size, time)) < 0.6).astype(np.float64)
    elif spec.cell.gate == "bernoulli":
        arrays["gate_noise"] = draw.random((size, time))
    module = importlib.import_module(f"impls.{framework}.model")
    model = module.Model(spec, parameters=initial_parameters(spec, seed=seed), engine=engine)
    batch = {name: tensor(framework, value) for name, value in arrays.items()}
    padded = arrays["inputs"] + np.where(mask > 0, 0.0, np.nan)[:, :, None]
    spoilt = batch | {"inputs": tensor(framework, padded)}

    (outputs, gates), gradients = differentiated(framework, model, lambda: model(spoilt), batch=spoilt)
    (wanted_outputs, wanted_gates), wanted_gradients = differentiated(
        framework, model, lambda: masked_afterwards(framework, model, batch), batch=batch
    )
    real = mask > 0 if readout == "every" else np.ones(size, bool)
    np.testing.assert_allclose(outputs[real], wanted_outputs[real], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(gates, wanted_gates)
    assert_gradients_close(gradients, wanted_gradients, tolerance=1e-11)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_lengths_are_counted_whole_in_a_narrow_type(framework: str) -> None:
    """bfloat16 cannot tell 257 from 256; the mask's sum would lose steps in silence."""
    spec = ModelSpec(
        cell=CellSpec(cell="lstm", input_size=1, units=(2,)),
        output_size=1,
        loss="mean_squared_error",
        dtype="bfloat16",
    )
    mask = np.ones((1, 300), np.float32)
    mask[:, 257:] = 0
    module = importlib.import_module(f"impls.{framework}.model")
    model = module.Model(spec, parameters=initial_parameters(spec, seed=3), engine="reference")
    arrays = {"inputs": np.ones((1, 300, 1), np.float32), "mask": mask}
    if framework == "pytorch":
        import torch

        gates = model({name: torch.tensor(value).bfloat16() for name, value in arrays.items()}).gates.float()
    else:
        import tensorflow as tf

        batch = {name: tf.constant(value, tf.bfloat16) for name, value in arrays.items()}
        gates = tf.cast(model(batch).gates, tf.float32)
    assert array(gates).sum() == 257
