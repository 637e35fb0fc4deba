"""Training and evaluation of one model: the contract's `Learner`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from impls.checks import check_batch, check_precision, check_trained
from impls.contract import Array, Batch, Evaluation, ModelSpec, OptimizerSpec, Parameters, State, StepResult
from impls.learner_state import join_state, split_state
from impls.parameters import model_shapes
from impls.pytorch.device import begin_on, peak_memory_bytes, set_threads, threads_in_use
from impls.pytorch.engines import implementation_of
from impls.pytorch.losses import budget_loss, task_loss
from impls.pytorch.model import Model
from impls.pytorch.optimizer import Adam
from impls.pytorch.products import check_card, multiplying


class Learner:
    """A model with its optimizer on one device; arguments as in `impls.contract.build_learner`."""

    def __init__(
        self,
        *,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Mapping[str, Array],
        engine: str,
        device: str,
        threads: int,
    ) -> None:
        check_trained(model)
        check_precision(model.cell.precision, device=device)
        check_card(model.cell.precision, device=device)
        set_threads(threads)
        begin_on(device)
        self.threads = threads_in_use()
        self.spec = model
        self.implementation = implementation_of(
            engine, device=device, dtype=model.dtype, precision=model.cell.precision
        )
        self.device = torch.device(device)
        self.model = Model(model, parameters=parameters, engine=engine).to(self.device)
        self.optimizer = Adam(optimizer, list(self.model.parameters()))

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        """Forward, backward, clip, Adam; returns when the device has finished.

        `learning_rate` is this step's; None is the optimizer's.
        """
        tensors = self._tensors(batch)
        with self._multiplying():
            predictions = self.model(tensors)
            of_task = task_loss(self.spec.loss, predictions.outputs, tensors["targets"], mask=tensors.get("mask"))
            updates = predictions.gates.sum(dim=1)
            of_budget = budget_loss(self.spec, updates)
            self.optimizer.clear_gradients()
            (of_task + of_budget).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(learning_rate=learning_rate)
        results = torch.stack([of_task, of_budget, updates.mean()]).tolist()  # waits for the device
        return StepResult(loss=results[0], budget_loss=results[1], updates=results[2])

    def evaluate(self, batch: Batch) -> Evaluation:
        """Forward alone; returns when the device has finished."""
        tensors = self._tensors(batch)
        with torch.no_grad(), self._multiplying():
            predictions = self.model(tensors)
            loss = task_loss(self.spec.loss, predictions.outputs, tensors["targets"], mask=tensors.get("mask"))
        return Evaluation(
            loss=loss.item(),
            predictions=predictions.outputs.cpu().numpy(),
            gates=predictions.gates.cpu().numpy(),
        )

    def export_parameters(self) -> Parameters:
        """A copy of every parameter under its canonical name."""
        return self.model.export_parameters()

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ."""
        self.model.load_parameters(parameters)

    def export_state(self) -> State:
        """A copy of all that the next step depends on: parameters, Adam's moments, steps done."""
        return join_state(self.export_parameters(), self.optimizer.export_moments(), steps=self.optimizer.steps)

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Goes on from a state, or raises `ParameterError` where names, shapes or types differ, and changes nothing."""
        parameters, moments, steps = split_state(state, model_shapes(self.spec), dtype=self.spec.dtype)
        self.load_parameters(parameters)
        self.optimizer.load(moments, steps=steps)

    def device_memory_bytes(self) -> int | None:
        """The largest memory allocated on the GPU since the learner was built; None on the CPU."""
        return peak_memory_bytes(self.device.type)

    def _multiplying(self) -> AbstractContextManager[None]:
        """The trial's precision, which a process that trains several holds for its own steps alone."""
        return multiplying(self.spec.cell.precision, device=self.device.type)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        dtype = getattr(torch, self.spec.dtype)
        tensors = {}
        for name, array in check_batch(self.spec, batch).items():
            tensor = torch.from_numpy(array).to(self.device)
            tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        return tensors
