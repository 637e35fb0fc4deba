"""Training and evaluation of one model: the contract's `Learner`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from impls.checks import check_batch, check_precision, check_trained
from impls.contract import Array, Batch, Evaluation, ModelSpec, OptimizerSpec, Parameters, State, StepResult
from impls.learner_state import join_state, split_state
from impls.parameters import model_shapes
from impls.tensorflow.device import begin_on, peak_memory_bytes, set_threads, threads_in_use
from impls.tensorflow.engines import implementation_of
from impls.tensorflow.engines.compilation import is_one_program
from impls.tensorflow.losses import budget_loss, task_loss
from impls.tensorflow.model import Model
from impls.tensorflow.optimizer import Adam
from impls.tensorflow.products import check_card, multiplying


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
        self.device = device
        self._placed = "/GPU:0" if device == "cuda" else "/CPU:0"
        with tf.device(self._placed):
            self.model = Model(model, parameters=parameters, engine=engine)
            self.variables = list(self.model.parameters_by_name().values())
            self.optimizer = Adam(optimizer, self.variables)
        self.engine = engine
        # No loop or branch on tensors is written in Python; to rewrite all that is called takes longer than to compile.
        self._programs = {
            (training, compiled): tf.function(step, jit_compile=compiled, autograph=False)
            for training, step in ((True, self._train), (False, self._evaluate))
            for compiled in (True, False)
        }

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        """Forward, backward, clip, Adam; returns when the device has finished.

        `learning_rate` is this step's; None is the optimizer's.
        """
        with tf.device(self._placed), self._multiplying():
            tensors = self._tensors(batch)
            rate = tf.constant(self.optimizer.next_rate(learning_rate=learning_rate))
            results = self._program(batch, training=True)(tensors, rate)
            results = results.numpy().tolist()  # waits for all that was asked of the device, the parameters' update too
        return StepResult(loss=results[0], budget_loss=results[1], updates=results[2])

    def evaluate(self, batch: Batch) -> Evaluation:
        """Forward alone; returns when the device has finished."""
        with tf.device(self._placed), self._multiplying():
            tensors = self._tensors(batch)
            loss, outputs, gates = self._program(batch, training=False)(tensors)
            return Evaluation(loss=float(loss), predictions=outputs.numpy(), gates=gates.numpy())

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
        return peak_memory_bytes(self.device)

    def _multiplying(self) -> AbstractContextManager[None]:
        """The trial's precision, which a process that trains several holds for its own steps alone.

        Kernels read it when they run, so that results are waited for inside.
        """
        return multiplying(self.spec.cell.precision, device=self.device)

    def _program(self, batch: Batch, *, training: bool) -> Any:
        """The traced step for batches of this size."""
        batch_size, steps = batch.inputs.shape[:2]
        compiled = is_one_program(
            self.engine, self.spec, device=self.device, batch_size=batch_size, steps=steps, training=training
        )
        return self._programs[training, compiled]

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        tensors = {}
        for name, array in check_batch(self.spec, batch).items():
            tensor = tf.convert_to_tensor(array)
            tensors[name] = tf.cast(tensor, self.spec.dtype) if tensor.dtype.is_floating else tensor
        return tensors

    def _train(self, tensors: dict[str, Tensor], rate: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            predictions = self.model(tensors)
            of_task = task_loss(self.spec.loss, predictions.outputs, tensors["targets"], mask=tensors.get("mask"))
            updates = tf.reduce_sum(predictions.gates, axis=1)
            of_budget = budget_loss(self.spec, updates)
            loss = of_task + of_budget
        gradients = tape.gradient(loss, self.variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # An embedding's gradient comes as slices; clipping and Adam want it whole, as in PyTorch.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        self.optimizer.step(gradients, rate=rate)
        return tf.stack([of_task, of_budget, tf.reduce_mean(updates)])

    def _evaluate(self, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        predictions = self.model(tensors)
        loss = task_loss(self.spec.loss, predictions.outputs, tensors["targets"], mask=tensors.get("mask"))
        return loss, predictions.outputs, predictions.gates
