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
from impls.pytorch.engines.kernels.buffers import Flow, Given, Gradients, Results, Tape
from impls.pytorch.engines.kernels.forward import run_forward
from impls.pytorch.engines.kernels.layout import (
    ALWAYS,
    BERNOULLI,
    GIVEN,
    ROUND,
    Layout,
    cut_gradients,
    cut_rows,
    layout_of,
    pack_parameters,
    pad_rows,
)
from impls.pytorch.engines.kernels.tape_memory import reused_array
from impls.pytorch.engines.kernels.workers import in_parallel

_SLAB_ROWS = 128  # sequences a worker takes at once: enough for dense products, few enough for its cache
_LEAST_ROWS = 8  # fewer are not worth a worker


class KernelUnroll(torch.autograd.Function):
    """The compiled kernels as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: CellSpec,
        draws: Tensor | None,
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
        leaves = [leaf.detach().numpy() for leaf in tensors[:count]]
        scalars = [scalar.detach().numpy()[:, 0] for scalar in tensors[count : count + 2 * spec.skips]]
        values = [value.detach().numpy() for value in tensors[count + 2 * spec.skips :]]
        weights = pack_parameters(spec, layout, dict(zip(names, values, strict=True)), dtype=dtype, backward=keep)
        given = Given(
            inputs=np.ascontiguousarray(inputs.detach().numpy()),
            draws=np.empty((batch, 0)) if draws is None else _contiguous(draws, np.float64),
            state=pad_rows(layout, leaves, batch=batch, dtype=dtype),
            probability=np.ascontiguousarray(scalars[0]) if scalars else np.ones(batch, dtype),
            stored=np.ascontiguousarray(scalars[1]) if scalars else np.zeros(batch, dtype),
        )
        results = Results(
            h=np.empty((batch, steps if every_step else 0, spec.units[-1]), dtype),
            gates=np.zeros((batch, steps), dtype),
            cumulative=np.empty((batch, steps if spec.skips else 0), dtype),
            state=np.empty((batch, layout.state), dtype),
            probability=np.empty(batch, dtype),
        )
        tape = _empty_tape(layout, batch=batch if keep else 0, steps=steps, dtype=dtype)
        _in_slabs(batch, lambda _, first, end: run_forward(layout, weights, given, results, tape, keep, first, end))
        h, gates = torch.from_numpy(results.h), torch.from_numpy(results.gates).unsqueeze(2)
        outputs = [h, gates, *map(torch.from_numpy, cut_rows(layout, results.state))]
        if spec.skips:
            stored = np.where(results.gates[:, -1] != 0, 0, results.cumulative[:, -1]).astype(dtype)
            outputs += [torch.from_numpy(results.probability).unsqueeze(1), torch.from_numpy(stored).unsqueeze(1)]
        else:
            ctx.mark_non_differentiable(gates)
        ctx.set_materialize_grads(False)
        if keep:
            # Saved the official way, the large ones are freed as soon as the gradient is had.
            ctx.save_for_backward(
                inputs, gates, *(torch.from_numpy(part) for part in (tape.records, tape.held, results.cumulative))
            )
            ctx.rest = (
                spec,
                layout,
                weights,
                given._replace(inputs=given.inputs[:0]),
                tape._replace(records=tape.records[:0], held=tape.held[:0]),
                names,
            )
        return tuple(outputs)

    @staticmethod
    @first_order
    def backward(ctx: Any, *flows: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradient of every tensor that `forward` took."""
        inputs, gates, records, held, cumulative = ctx.saved_tensors
        spec, layout, weights, given, tape, names = ctx.rest
        batch = inputs.shape[0]
        given = given._replace(inputs=np.ascontiguousarray(inputs.detach().numpy()))
        dtype = given.inputs.dtype
        tape = tape._replace(records=records.numpy(), held=held.numpy())
        results = Results(
            h=np.empty((0, 0, 0), dtype),
            gates=gates.detach().numpy()[:, :, 0],
            cumulative=cumulative.numpy(),
            state=np.empty((0, 0), dtype),
            probability=np.empty(0, dtype),
        )
        count = layout.leaves * len(spec.units)
        flow_h, flow_gates, *rest = flows
        scalars = [np.zeros(batch, dtype) if part is None else _contiguous(part[:, 0]) for part in rest[count:]]
        flow = Flow(
            h=np.empty((0, 0, 0), dtype) if flow_h is None else _contiguous(flow_h),
            gates=np.empty((0, 0), dtype) if flow_gates is None else _contiguous(flow_gates[:, :, 0]),
            state=pad_rows(
                layout,
                [np.zeros((), dtype) if part is None else part.numpy() for part in rest[:count]],
                batch=batch,
                dtype=dtype,
            ),
            probability=scalars[0] if scalars else np.zeros(batch, dtype),
            stored=scalars[1] if scalars else np.zeros(batch, dtype),
        )
        slabs = len(_slabs(batch))
        wanted = ctx.needs_input_grad[5]
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
        _in_slabs(
            batch,
            lambda slab, first, end: run_backward(
                layout, weights, given, results, tape, flow, gradients, slab, first, end
            ),
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
        return (None, None, None, None, None, of_inputs, *map(torch.from_numpy, arrays))


def _decision(spec: CellSpec, draws: Tensor | None) -> int:
    """What decides an update of this cell."""
    if spec.skips:
        return BERNOULLI if spec.gate == "bernoulli" else ROUND
    return ALWAYS if draws is None else GIVEN


def _contiguous(tensor: Tensor, dtype: Any = None) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype)


def _empty_tape(layout: Layout, *, batch: int, steps: int, dtype: np.dtype[Any]) -> Tape:
    """Room for as many updates as there can be; memory is taken only as it is written, and serves the next step."""
    updates = batch * steps
    runs = batch * ((steps + 1) // 2 + 1) if layout.decision in (ROUND, BERNOULLI) else 0
    return Tape(
        records=reused_array((updates, layout.record), dtype),
        row=np.empty(updates, np.int64),
        time=np.empty(updates, np.int64),
        previous=np.empty(updates, np.int64),
        proposed=np.empty(updates, dtype),
        slot=np.empty(updates, np.int64),
        held=np.empty((runs, layout.held), dtype),
        first_slot=np.empty(batch, np.int64),
        last=np.empty(batch, np.int64),
        round_starts=np.empty((batch, steps + 1), np.int64),
        rounds=np.empty(batch, np.int64),
    )


def _slabs(batch: int) -> list[tuple[int, int]]:
    """The sequences of each piece of work: first, and one past the last."""
    rows = min(_SLAB_ROWS, max(_LEAST_ROWS, -(-batch // torch.get_num_threads())))
    return [(first, min(first + rows, batch)) for first in range(0, batch, rows)]


def _in_slabs(batch: int, work: Callable[[int, int, int], None]) -> None:
    """Does `work(slab, first, end)` for every slab."""
    slabs = _slabs(batch)
    in_parallel(lambda slab: work(slab, *slabs[slab]), len(slabs))
