"""What the engines are measured against: PyTorch's own layers, and the matrix products alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from impls.contract import Batch, ModelSpec, OptimizerSpec
from impls.parameters import layer_shapes
from impls.pytorch.device import begin_on, set_threads
from impls.pytorch.losses import task_loss
from impls.pytorch.optimizer import Adam
from impls.pytorch.products import multiplying

NATIVE_LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU}


def build_baseline(
    *,
    baseline: str,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    batch: Batch,
    training: bool,
    device: str,
    threads: int,
) -> Callable[[], object]:
    """One step of a baseline; arguments as in `impls.contract.build_baseline`."""
    set_threads(threads)
    begin_on(device)
    if baseline == "products" and device == "cuda":
        step = _one_product_step(model=model, batch=batch, training=training, device=device)
    elif baseline == "products":
        step = _products_step(model=model, batch=batch, training=training, device=device)
    else:
        step = _native_step(model=model, optimizer=optimizer, batch=batch, training=training, device=device)

    def multiplied() -> object:
        with multiplying(model.cell.precision, device=device):
            return step()

    return multiplied


def operand_type(model: ModelSpec) -> torch.dtype:
    """What a baseline's products read."""
    return torch.bfloat16 if model.cell.precision == "bfloat16" else torch.float32


class NativeModel(nn.Module):
    """`torch.nn.LSTM` or `torch.nn.GRU` and a readout of its last step: `[batch, time, features]` to logits."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        units = spec.cell.units[0]
        self.recurrent = NATIVE_LAYERS[spec.cell.kind.name](spec.cell.input_size, units, batch_first=True)
        self.readout = nn.Linear(units, spec.output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, `[batch, outputs]`."""
        _, state = self.recurrent(inputs)
        h = state[0] if isinstance(state, tuple) else state
        outputs: Tensor = self.readout(h[-1])  # as a model: without a gradient as long as the sequence
        return outputs


def _native_step(
    *, model: ModelSpec, optimizer: OptimizerSpec, batch: Batch, training: bool, device: str
) -> Callable[[], object]:
    """A step of the framework's own layer, from the batch's arrays to numbers, as a learner does it."""
    native = NativeModel(model).to(device, operand_type(model))
    adam = Adam(optimizer, list(native.parameters()))

    def loss_and_outputs() -> tuple[Tensor, Tensor]:
        inputs, targets = (torch.from_numpy(array).to(device) for array in (batch.inputs, batch.targets))
        outputs = native(inputs.to(operand_type(model))).float()
        return task_loss(model.loss, outputs, targets, mask=None), outputs

    def train() -> object:
        loss, _ = loss_and_outputs()
        adam.clear_gradients()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        return loss.item()  # waits for the device

    def evaluate() -> object:
        with torch.no_grad():
            loss, outputs = loss_and_outputs()
        return loss.item(), outputs.cpu().numpy()

    return train if training else evaluate


def _products_step(*, model: ModelSpec, batch: Batch, training: bool, device: str) -> Callable[[], object]:
    """The products of `[x, h]` with each matrix, at every step of time; in training also the backward's two.

    These are `[batch, width] @ [width, units]` for the gradient of h and `[inputs + units, batch] @ [batch, width]`
    for that of the matrix. All read and write the same tensors at every step, so that they stay in cache.
    """
    spec = model.cell
    length, size = batch.inputs.shape[1], batch.size
    shapes = layer_shapes(
        spec.kind, input_size=spec.input_size, units=spec.units[0], layer_norm=False, initial_state="zeros"
    )
    like: dict[str, Any] = {"device": device, "dtype": operand_type(model)}
    matrices = [torch.randn(shape, **like) for shape in shapes.values() if len(shape) == 2]
    gradients = [torch.randn(size, matrix.shape[1], **like) for matrix in matrices]
    state = torch.randn(size, spec.input_size + spec.units[0], **like)
    forward = [
        (state, matrix, torch.empty_like(gradient)) for matrix, gradient in zip(matrices, gradients, strict=True)
    ]
    backward = []
    for matrix, gradient in zip(matrices, gradients, strict=True):
        to_state = matrix[spec.input_size :].T.contiguous()
        backward.append((gradient, to_state, torch.empty(size, spec.units[0], **like)))
        backward.append((state.T, gradient, torch.empty_like(matrix)))
    passes = [forward, backward] if training else [forward]

    def step() -> object:
        for products in passes:
            for _ in range(length):
                for left, right, product in products:
                    torch.mm(left, right, out=product)
        return passes[-1][-1][2][0, 0].item()  # waits for the device

    return step


def _one_product_step(*, model: ModelSpec, batch: Batch, training: bool, device: str) -> Callable[[], object]:
    """The multiply–adds of `_products_step`, those of all steps of time in one product."""
    spec = model.cell
    rows = batch.inputs.shape[1] * batch.size
    shapes = layer_shapes(
        spec.kind, input_size=spec.input_size, units=spec.units[0], layer_norm=False, initial_state="zeros"
    )
    like: dict[str, Any] = {"device": device, "dtype": operand_type(model)}
    matrices = [torch.randn(shape, **like) for shape in shapes.values() if len(shape) == 2]
    states = torch.randn(rows, spec.input_size + spec.units[0], **like)
    gradients = [torch.randn(rows, matrix.shape[1], **like) for matrix in matrices] if training else []

    def step() -> object:
        last = [states @ matrix for matrix in matrices]
        for matrix, gradient in zip(matrices[: len(gradients)], gradients, strict=True):
            last = [gradient @ matrix[spec.input_size :].T, states.T @ gradient]
        return last[-1][0, 0].item()  # waits for the device

    return step
