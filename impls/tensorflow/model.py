"""A cell with its readout: from a batch to raw outputs and gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.checks import check_model
from impls.contract import Array, ModelSpec
from impls.parameters import check_parameters, model_shapes
from impls.tensorflow.engines import unroll
from impls.tensorflow.engines.unrolled import static_or_dynamic_size
from impls.tensorflow.equations import initial_state
from impls.tensorflow.named_parameters import NamedParameters
from impls.tensorflow.products import product


class Predictions(NamedTuple):
    """Raw outputs, `[batch, outputs]` or `[batch, time, outputs]`, and gates, `[batch, time]`, 0 on padding."""

    outputs: Tensor
    gates: Tensor


class Model(NamedParameters):
    """What a trial trains.

    Args:
        spec: the model.
        parameters: initial values under the names of `impls.parameters.model_shapes`.
        engine: how the time loop runs.
    """

    def __init__(self, spec: ModelSpec, *, parameters: Mapping[str, Array], engine: str) -> None:
        check_model(spec)
        check_parameters(parameters, model_shapes(spec), where="the model")
        super().__init__({name: parameters[name] for name in model_shapes(spec)}, dtype=spec.dtype)
        self.spec = spec
        self.engine = engine

    def __call__(self, batch: Mapping[str, Tensor]) -> Predictions:
        """Runs the model on the arrays of a `Batch`, by field name; targets are not read."""
        spec, parameters = self.spec, self.parameters_by_name()
        inputs, mask = batch["inputs"], batch.get("mask")
        if spec.vocabulary_size:
            inputs = tf.gather(parameters["embedding.weights"], inputs)
        h, gates, _ = unroll(
            spec.cell,
            parameters,
            inputs,
            initial_state(spec.cell, parameters, batch=static_or_dynamic_size(inputs, 0), like=inputs),
            updates=batch.get("updates"),
            gate_noise=batch.get("gate_noise"),
            lengths=None if mask is None else tf.math.count_nonzero(mask, axis=1, dtype=tf.int32),
            every_step=spec.readout != "last",
            engine=self.engine,
        )
        if spec.readout == "last":
            h = h[:, 0]
        if "dropout" in batch:
            h = h * (batch["dropout"] if spec.readout == "last" else batch["dropout"][:, None])
        outputs = (
            product(h, parameters["readout.weights"], precision=spec.cell.precision) + parameters["readout.biases"]
        )
        return Predictions(outputs, gates[:, :, 0])
