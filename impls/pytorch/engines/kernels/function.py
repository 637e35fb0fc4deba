"""The compiled kernels as one differentiable operation: NumPy buffers around `forward.py` and `backward.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impls.contract import Array, CellSpec
from impls.pytorch.engines.first_order import first_order
from impls.pytorch.engines.kernels.backward import run_backward
from impls.pytorch.engines.kernels.buffers import Flow, Gradients, Results, Sequences, Tape, held_rows
from impls.pytorch.engines.kernels.forward import run_forward
from impls.pytorch.engines.kernels.layout import (
    ALWAYS,
    BERNOULLI,
    ROUND,
    SCHEDULED,
    Layout,
    cut_gradients,
    cut_rows,
    layout_of,
    pack_parameters,
    pad_rows,
)
from impls.pytorch.engines.kernels.queue import Queue, queue_of, slab_count
from impls.pytorch.engines.kernels.tape_memory import reused_array
from impls.pytorch.engines.kernels.workers import in_parallel


class KernelUnroll(torch.autograd.Function):
    """The compiled kernels as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: CellSpec,
        draws: Tensor | None,
        lengths: Tensor | None,
        keep: bool,
        every_step: bool,
        names: list[str],
        inputs: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """Runs the sequences; `tensors` are the state's leaves, the gate's two scalars, and the named parameters."""
        batch, steps, _ = inputs.shape
        dtype = np.dtype(str(inputs.dtype).removeprefix("torch."))
        layout = layout_of(spec, decision=_decision(spec, draws), dtype=dtype)
        count = layout.leaves * len(spec.units)
        leaves = [_array(leaf) for leaf in tensors[:count]]
        scalars = [_array(scalar)[:, 0] for scalar in tensors[count : count + 2 * spec.skips]]
        values = [_array(value) for value in tensors[count + 2 * spec.skips :]]
        weights = pack_parameters(spec, layout, dict(zip(names, values, strict=True)), dtype=dtype, backward=keep)
        # Of what a caller may change before the gradient is asked for, the kernels keep copies; the inputs are saved.
        sequences = Sequences(
            inputs=_contiguous(inputs),
            lengths=np.full(batch, steps) if lengths is None else lengths.detach().numpy().astype(np.int64),
            draws=np.empty((batch, 0)) if draws is None else _contiguous(draws, np.float64),
            state=pad_rows(layout, leaves, batch=batch, dtype=dtype),
            probability=np.array(scalars[0]) if scalars else np.ones(batch, dtype),
            stored=np.array(scalars[1]) if scalars else np.zeros(batch, dtype),
        )
        results = Results(
            h=np.empty((batch, steps if every_step else 0, spec.units[-1]), dtype),
            gates=np.zeros((batch, steps), dtype),
            cumulative=np.empty((batch, steps if spec.skips else 0), dtype),
            state=np.empty((batch, layout.state), dtype),
            probability=np.empty(batch, dtype),
            stored=np.empty(batch, dtype),
        )
        tape = _empty_tape(layout, batch=batch if keep else 0, steps=steps, dtype=dtype)
        _on_workers(batch, lambda queue: run_forward(layout, weights, sequences, results, tape, keep, queue))
        h, gates = torch.from_numpy(results.h), torch.from_numpy(results.gates[:, :, None])
        outputs = [h, gates, *map(torch.from_numpy, cut_rows(layout, results.state))]
        if spec.skips:
            outputs += [torch.from_numpy(part[:, None]) for part in (results.probability, results.stored)]
        else:
            ctx.mark_non_differentiable(gates)
        ctx.set_materialize_grads(False)
        if keep:
            # Saved the official way, all that is large is freed as soon as the gradient is had.
            # The gates are small, and their own to the caller, who may change them in place.
            ctx.save_for_backward(inputs, gates.clone(), *map(torch.from_numpy, (results.cumulative, *tape)))
            ctx.rest = (spec, layout, weights, sequences._replace(inputs=np.empty((0, 0, 0), dtype)), names)
        return tuple(outputs)

    @staticmethod
    @first_order
    def backward(ctx: Any, *flows: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradient of every tensor that `forward` took."""
        inputs, gates, cumulative, *kept = ctx.saved_tensors
        spec, layout, weights, sequences, names = ctx.rest
        batch = inputs.shape[0]
        sequences = sequences._replace(inputs=_contiguous(inputs))
        dtype = sequences.inputs.dtype
        tape = Tape(*(part.numpy() for part in kept))
        results = Results(
            h=np.empty((0, 0, 0), dtype),
            gates=gates.detach().numpy()[:, :, 0],
            cumulative=cumulative.numpy(),
            state=np.empty((0, 0), dtype),
            probability=np.empty(0, dtype),
            stored=np.empty(0, dtype),
        )
        slabs = slab_count(batch)
        wanted = ctx.needs_input_grad[6]
        gradients = Gradients(
            inputs=np.zeros(inputs.shape if wanted else (0, 0, 0), dtype),
            state=np.empty((batch, layout.state), dtype),
            probability=np.empty(batch, dtype),
            stored=np.empty(batch, dtype),
            weights=np.zeros((slabs, layout.gradient), dtype),
            norms=np.zeros((slabs, layout.norms), dtype),
            gate=np.zeros((slabs, weights.gate.size), dtype),
            gate_bias=np.zeros((slabs, 1), dtype),
        )
        flow = _flow(layout, flows, batch=batch, leaves=layout.leaves * len(spec.units), dtype=dtype)
        _on_workers(
            batch,
            lambda queue: run_backward(layout, weights, sequences, results, tape, flow, gradients, queue),
        )
        by_name = cut_gradients(
            spec,
            layout,
            weights=gradients.weights.sum(axis=0),
            norms=gradients.norms.sum(axis=0),
            gate=gradients.gate.sum(axis=0),
            gate_bias=gradients.gate_bias.sum(axis=0),
        )
        of_gate = (gradients.probability[:, None], gradients.stored[:, None]) if spec.skips else ()
        arrays = [*cut_rows(layout, gradients.state), *of_gate, *(by_name[name] for name in names)]
        of_inputs = torch.from_numpy(gradients.inputs) if wanted else None
        return (None, None, None, None, None, None, of_inputs, *map(torch.from_numpy, arrays))


def _flow(layout: Layout, flows: tuple[Tensor | None, ...], *, batch: int, leaves: int, dtype: np.dtype[Any]) -> Flow:
    """The gradients of h, the gates, the state's leaves and its two scalars, each of which may be missing."""
    h, gates, *of_state = flows
    scalars = [np.zeros(batch, dtype) if part is None else _contiguous(part[:, 0]) for part in of_state[leaves:]]
    parts = [np.zeros((), dtype) if part is None else _array(part) for part in of_state[:leaves]]
    return Flow(
        h=np.empty((0, 0, 0), dtype) if h is None else _contiguous(h),
        gates=np.empty((0, 0), dtype) if gates is None else _contiguous(gates[:, :, 0]),
        state=pad_rows(layout, parts, batch=batch, dtype=dtype),
        probability=scalars[0] if scalars else np.zeros(batch, dtype),
        stored=scalars[1] if scalars else np.zeros(batch, dtype),
    )


def _decision(spec: CellSpec, draws: Tensor | None) -> int:
    """What decides an update of this cell."""
    if spec.skips:
        return BERNOULLI if spec.gate == "bernoulli" else ROUND
    return ALWAYS if draws is None else SCHEDULED


def _contiguous(tensor: Tensor, dtype: Any = None) -> Array:
    return np.ascontiguousarray(_array(tensor), dtype)


def _array(tensor: Tensor) -> Array:
    """Its numbers, also of a view that has them with the other sign."""
    return tensor.detach().resolve_neg().numpy()


def _empty_tape(layout: Layout, *, batch: int, steps: int, dtype: np.dtype[Any]) -> Tape:
    """Room for as many updates as there can be; memory is taken only as it is written, and serves the next step."""
    updates = batch * steps
    runs = batch * held_rows(steps) if layout.decision in (ROUND, BERNOULLI) else 0
    return Tape(
        records=reused_array((updates, layout.record), dtype),
        held=reused_array((runs, layout.held), dtype),
        row=np.empty(updates, np.int64),
        time=np.empty(updates, np.int64),
        previous=np.empty(updates, np.int64),
        proposed=np.empty(updates, dtype),
        slot=np.empty(updates, np.int64),
        first_slot=np.empty(batch, np.int64),
        last=np.empty(batch, np.int64),
        round_starts=np.empty((batch, steps + 1), np.int64),
        rounds=np.empty(batch, np.int64),
    )


def _on_workers(batch: int, work: Callable[[Queue], None]) -> None:
    """Does `work(queue)` on every worker, with one queue of the batch's slabs."""
    queue = queue_of(batch)
    in_parallel(lambda: work(queue), most=max(1, slab_count(batch)))
