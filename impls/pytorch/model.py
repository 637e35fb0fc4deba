"""A cell with its readout: from a batch to raw outputs and gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from impls.contract import Array, ModelSpec
from impls.parameters import check_parameters, model_shapes
from impls.pytorch.engines import unroll
from impls.pytorch.equations import initial_state
from impls.pytorch.named_parameters import NamedParameters


class Predictions(NamedTuple):
    """Raw outputs, `[batch, outputs]` or `[batch, time, outputs]`, and gates on real steps, `[batch, time]`."""

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
        check_parameters(parameters, model_shapes(spec), where="the model")
        super().__init__({name: parameters[name] for name in model_shapes(spec)}, dtype=spec.dtype)
        self.spec = spec
        self.engine = engine

    def forward(self, batch: Mapping[str, Tensor]) -> Predictions:
        """Runs the model on the arrays of a `Batch`, by field name; targets are not read."""
        spec, parameters = self.spec, self.parameters_by_name()
        inputs, mask = batch["inputs"], batch.get("mask")
        if spec.vocabulary_size:
            inputs = functional.embedding(inputs, parameters["embedding.weights"])
        every_step = spec.readout != "last" or mask is not None
        h, gates, _ = unroll(
            spec.cell,
            parameters,
            inputs,
            initial_state(spec.cell, parameters, batch=inputs.shape[0], like=inputs),
            updates=batch.get("updates"),
            gate_noise=batch.get("gate_noise"),
            every_step=every_step,
            engine=self.engine,
        )
        gates = gates[:, :, 0] if mask is None else gates[:, :, 0] * mask
        if spec.readout == "last":
            h = h[:, 0] if mask is None else last_real_step(h, mask=mask)
        if "dropout" in batch:
            h = h * (batch["dropout"] if spec.readout == "last" else batch["dropout"][:, None])
        outputs = h @ parameters["readout.weights"] + parameters["readout.biases"]
        return Predictions(outputs, gates)


def last_real_step(h: Tensor, *, mask: Tensor) -> Tensor:
    """`h` `[batch, time, units]` where each sequence ends, `[batch, units]`; padding stands at the end."""
    last = mask.sum(dim=1).long() - 1
    return h.gather(1, last[:, None, None].expand(-1, 1, h.shape[2]))[:, 0]
