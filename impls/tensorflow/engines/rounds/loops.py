"""The fast engine's loops: the k-th updates of all sequences are one dense batch, a *round*.

Sequential depth is the largest number of updates in the batch, whatever the time steps at which they fall.
`forward_rounds` runs rounds until a block of them is full; `backward_rounds` is its adjoint, and
`backward_skips` that of the steps that one round leaves to be skipped. Derivation: `docs/engines.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow import skip_gate
from impls.tensorflow.adjoints import PIECES, Gradients, Parts, keeps_gates
from impls.tensorflow.engines.rounds.jumps import at_times, next_update
from impls.tensorflow.equations import LayerState, layer_parameters

Parameters = Mapping[str, Tensor]
Layers = tuple[LayerState, ...]


class Sequences(NamedTuple):
    """What every step may read: inputs `[time, batch, features]`; draws `[time, batch]` and lengths `[batch]`, or None."""

    inputs: Tensor
    draws: Tensor | None
    lengths: Tensor | None


class Position(NamedTuple):
    """Where each sequence stands between two rounds; every leaf but `layers` is `[batch]`.

    `time` is the next update's (the number of steps where none is left); the state is that of the step before it.
    `cum_update_prob` is what was stored just before that update.
    """

    time: Tensor
    layers: Layers
    update_prob: Tensor
    cum_update_prob: Tensor


class Kept(NamedTuple):
    """What rounds leave to the adjoint: leaves of one axis more in front.

    `position` is before the first round and after every one; `records` are of every round, one a layer. Where these
    are recurrent parts there is one more, of the state after the last round.
    """

    position: Position
    records: tuple[Parts, ...]


class Cotangents(NamedTuple):
    """Gradients of the loss by outputs: h `[batch, time, units]` or () where there is none, gates `[time, batch]`."""

    h: Any
    gates: Tensor


class Adjoint(NamedTuple):
    """Gradients of the loss by the state: that of `Position` without the time."""

    layers: Layers
    update_prob: Tensor
    cum_update_prob: Tensor


def kept_leaves(
    spec: CellSpec,
    *,
    rounds: int | None,
    batch: int | None,
    dtype: tf.DType,
    keep: bool,
    every_step: bool,
) -> Kept:
    """What `forward_rounds` keeps, with a `TensorSpec` for every leaf."""

    def leaf(*widths: int) -> tf.TensorSpec:
        return tf.TensorSpec([None if rounds is None else rounds + 1, batch, *widths], dtype)

    time = tf.TensorSpec(leaf().shape, tf.int32)
    if not keep:
        layers = ((leaf(spec.units[-1]),),) if every_step else ()
        return Kept(Position(time, layers, (), ()), ())
    states = tuple((leaf(units),) * len(spec.kind.state) for units in spec.units)
    records = tuple((leaf(units),) * len(spec.kind.gates) for units in spec.units)
    return Kept(Position(time, states, leaf(), leaf()), records)


def _select(mask: Tensor, new: Layers, old: Layers) -> Layers:
    """`new` where the mask `[batch]` holds, else `old`."""
    chosen: Layers = tf.nest.map_structure(lambda a, b: tf.where(mask[:, tf.newaxis], a, b), new, old)
    return chosen


def _inner(mine: Layers, others: Layers, less: Layers) -> Tensor:
    """`⟨mine, others − less⟩` over every layer, `[batch]`."""
    of_layers: list[Tensor] = []
    for leaves in zip(mine, others, less, strict=True):
        terms = tf.add_n([a * (b - c) for a, b, c in zip(*leaves, strict=True)])
        # A product with ones, of which XLA makes vector code; of a sum along rows it does not.
        of_layers.append(tf.matmul(terms, tf.ones_like(terms[:1]), transpose_b=True)[:, 0])
    return tf.add_n(of_layers)


def _propose(parameters: Parameters, spec: CellSpec, layers: Layers) -> Tensor:
    """Δũ of the candidates, `[batch]`."""
    return skip_gate.update_probability(
        layers[spec.gate_layer][0],
        weights=parameters["update_gate.weights"],
        biases=parameters["update_gate.biases"],
    )[:, 0]


def _with_outputs(layers: Layers, cotangents: Cotangents, mask: Tensor, time: Tensor) -> Layers:
    """Gradients of the state after step `time`, with those of the outputs there, where the mask `[batch]` holds."""
    if not isinstance(cotangents.h, Tensor):
        return layers
    *rest, h = layers[-1]
    h = tf.where(mask[:, tf.newaxis], h + tf.gather(cotangents.h, time, axis=1, batch_dims=1), h)
    return (*layers[:-1], (*rest, h))


def _row(rows: Position, k: Tensor) -> Position:
    row: Position = tf.nest.map_structure(lambda leaf: leaf[k], rows)
    return row


def forward_rounds(
    spec: CellSpec,
    parameters: Parameters,
    sequences: Sequences,
    start: Position,
    *,
    source: str,
    rounds: int | Tensor,
    leaves: Kept,
) -> tuple[Position, Tensor, Kept]:
    """Runs up to `rounds` rounds; `leaves` is what `kept_leaves` says of them.

    Returns where the sequences stand then, how many rounds were run, and what is kept.
    """
    length = tf.shape(sequences.inputs)[0]
    split = split_layers(spec, parameters)
    whole = len(tf.nest.flatten(leaves.position)) == len(tf.nest.flatten(start))

    def chosen(position: Position) -> list[Tensor]:
        if whole:
            flat: list[Tensor] = tf.nest.flatten(position)
            return flat
        return [position.time, *((position.layers[-1][-1],) if leaves.position.layers else ())]

    def body(k: Tensor, position: Position, rows: list[tf.TensorArray], records: list[tf.TensorArray]) -> Any:
        updates = position.time < length
        below = at_times(sequences.inputs, tf.minimum(position.time, length - 1))
        recurrent = recurrent_parts(spec, split, position.layers)
        candidates, recorded = _candidates(spec, split, below, position.layers, recurrent)
        if leaves.records:
            records = _write(records, k, recorded)
        layers = _select(updates, candidates, position.layers)
        update_prob, stored = position.update_prob, position.cum_update_prob
        if spec.skips:
            update_prob = tf.where(updates, _propose(parameters, spec, candidates), update_prob)
            stored = tf.where(updates, tf.zeros_like(stored), stored)
        time, stored = next_update(
            source=source,
            update_prob=update_prob,
            cum_update_prob=stored,
            time=position.time,
            steps=length,
            lengths=sequences.lengths,
            draws=sequences.draws,
        )
        position = Position(time, layers, update_prob, stored)
        return k + 1, position, _write(rows, k + 1, chosen(position)), records

    rows = [
        tf.TensorArray(leaf.dtype, size=rounds + 1, element_shape=leaf.shape).write(0, leaf) for leaf in chosen(start)
    ]
    records = [
        tf.TensorArray(leaf.dtype, size=rounds + 1, element_shape=leaf.shape[1:])
        for leaf in tf.nest.flatten(leaves.records)
    ]
    k, position, rows, records = tf.while_loop(
        lambda k, position, *_: (k < rounds) & tf.reduce_any(position.time < length),
        body,
        (tf.constant(0), start, rows, records),
    )
    if leaves.records and not keeps_gates(spec):
        after = recurrent_parts(spec, split, position.layers)
        rest = len(spec.kind.gates) - len(spec.kind.normalised)
        records = _write(records, k, [(*parts, *[tf.zeros_like(parts[0])] * rest) for parts in after])
    stacked = [row.stack() for row in rows]
    # Rounds that were not run have no update: their time is the end.
    stacked[0] = tf.where(tf.range(rounds + 1)[:, tf.newaxis] <= k, stacked[0], length)
    kept: Kept = tf.nest.pack_sequence_as(leaves, [*stacked, *(array.stack() for array in records)])
    return position, k, kept


def _write(arrays: list[tf.TensorArray], index: Tensor, values: Any) -> list[tf.TensorArray]:
    """Each of the arrays with one of the values' leaves written at `index`."""
    return [array.write(index, leaf) for array, leaf in zip(arrays, tf.nest.flatten(values), strict=True)]


def backward_rounds(
    spec: CellSpec,
    parameters: Parameters,
    sequences: Sequences,
    kept: Kept,
    count: Tensor,
    cotangents: Cotangents,
    adjoint: Adjoint,
    gradients: Gradients,
    *,
    source: str,
    rounds: int | Tensor,
) -> tuple[Adjoint, Gradients, Tensor]:
    """The adjoint of the `count` rounds of a block, each with the skips that follow it.

    Returns the adjoint of the block's start, the parameters' gradients added to `gradients`, and the inputs'
    gradients at the updates, `[rounds, batch, features]`.
    """
    length = tf.shape(sequences.inputs)[0]
    inputs = sequences.inputs
    nothing = tf.zeros_like(adjoint.update_prob)
    split = split_layers(spec, parameters)
    times = tf.minimum(kept.position.time, length - 1)
    inputs_at, ggates_at = at_times(inputs, times), at_times(cotangents.gates, times)

    def body(
        k: Tensor, adjoint: Adjoint, gradients: Gradients, cumulatives: tf.TensorArray, ginputs: tf.TensorArray
    ) -> tuple[object, ...]:
        before, after = _row(kept.position, k), _row(kept.position, k + 1)
        updates = before.time < length
        records = tf.nest.map_structure(lambda leaf: leaf[k], kept.records)

        def recurrent_after(turn: Tensor) -> tuple[Parts, ...]:
            # Row k + 1, as turns count from 1; written so that XLA does not copy it ahead of the turns.
            row = k + tf.minimum(turn, 1)
            return tuple(tuple(part[row] for part in record[: len(spec.kind.normalised)]) for record in kept.records)

        adjoint, cumulatives = backward_skips(
            spec,
            split,
            parameters,
            sequences,
            before.time,
            nothing,
            after,
            recurrent_after,
            cotangents,
            adjoint,
            cumulatives,
            source=source,
        )
        layers = _with_outputs(adjoint.layers, cotangents, updates, times[k])

        zeros = tf.nest.map_structure(tf.zeros_like, layers)
        entering, staying = _select(updates, layers, zeros), _select(updates, zeros, layers)
        gprob, gcum = adjoint.update_prob, adjoint.cum_update_prob
        added: Gradients = {}
        if spec.skips:
            room = 1.0 - before.cum_update_prob
            cumulative = before.cum_update_prob + tf.minimum(before.update_prob, room)
            ggate = (
                _inner(layers, after.layers, before.layers)
                + gprob * (after.update_prob - before.update_prob)
                - gcum * cumulative
                + ggates_at[k]
            )
            glogit = tf.where(updates, gprob * after.update_prob * (1.0 - after.update_prob), tf.zeros_like(gprob))
            gprob = tf.where(updates, tf.where(before.update_prob <= room, ggate, 0.0), gprob)
            gcum = tf.where(updates, tf.where(before.update_prob <= room, ggate, 0.0), gcum)
            fed = after.layers[spec.gate_layer][0]
            added["update_gate.weights"] = tf.matmul(fed, glogit[:, tf.newaxis], transpose_a=True)
            added["update_gate.biases"] = tf.reduce_sum(glogit)[tf.newaxis]
            number = spec.gate_layer % len(spec.units)
            first = entering[number][0] + glogit[:, tf.newaxis] * parameters["update_gate.weights"][:, 0]
            entering = (*entering[:number], (first, *entering[number][1:]), *entering[number + 1 :])

        gbelow: Tensor | None = None
        leaving: list[LayerState] = []
        for number in reversed(range(len(spec.units))):
            *rest, gh = entering[number]
            below = after.layers[number - 1][-1] if number else inputs_at[k]
            gbelow, gstate, of_layer = PIECES[spec.kind.name].backward(
                spec,
                split[number],
                below,
                before.layers[number],
                after.layers[number],
                records[number],
                (*rest, gh if gbelow is None else gh + gbelow),
            )
            leaving.insert(0, gstate)
            added.update({f"layers.{number}.{name}": value for name, value in of_layer.items()})
        layers = tf.nest.map_structure(tf.add, tuple(leaving), staying)
        gradients = {name: value + added[name] for name, value in gradients.items()}
        return k - 1, Adjoint(layers, gprob, gcum), gradients, cumulatives, ginputs.write(k, gbelow)

    ginputs = tf.TensorArray(inputs.dtype, size=rounds, element_shape=inputs.shape[1:])
    _, adjoint, gradients, _, ginputs = tf.while_loop(
        lambda k, *_: k >= 0, body, (count - 1, adjoint, gradients, room_for_cumulatives(sequences), ginputs)
    )
    return adjoint, gradients, ginputs.stack()


def room_for_cumulatives(sequences: Sequences) -> tf.TensorArray:
    """Room for ũ at every step of one run of skips; carried from run to run, as XLA fills new room with zeros."""
    inputs = sequences.inputs
    return tf.TensorArray(inputs.dtype, size=tf.shape(inputs)[0] + 1, element_shape=inputs.shape[1:2])


def backward_skips(
    spec: CellSpec,
    split: list[Parameters],
    parameters: Parameters,
    sequences: Sequences,
    time: Tensor,
    stored: Tensor,
    position: Position,
    recurrent: Callable[[Tensor], tuple[Parts, ...]],
    cotangents: Cotangents,
    adjoint: Adjoint,
    cumulatives: tf.TensorArray,
    *,
    source: str,
) -> tuple[Adjoint, tf.TensorArray]:
    """The adjoint of the steps between the update at `time` and the one that `position` stands at.

    `stored` is the ũ stored at `time`: 0 after an update. The state does not change there, and no gradient enters
    the cell. But each gate's gradient asks for the candidate (eq. 7): its `recurrent` parts, a function
    of the turn from 1, are the same for the whole run, the rest is element-wise for an LSTM.
    """
    if source == "always":
        return adjoint, cumulatives
    length = tf.shape(sequences.inputs)[0]
    following = position.time if sequences.lengths is None else tf.minimum(position.time, sequences.lengths)
    skips = tf.where(time < length, following - time - 1, tf.zeros_like(time))
    most = tf.reduce_max(skips)
    layers, update_prob = position.layers, position.update_prob

    def replay(j: Tensor, stored: Tensor, cumulatives: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        following = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=stored)
        return j + 1, following, cumulatives.write(j, stored)

    if spec.skips:
        _, _, cumulatives = tf.while_loop(lambda j, *_: j <= most, replay, (tf.constant(1), stored, cumulatives))

    def body(j: Tensor, adjoint: Adjoint) -> tuple[Tensor, Adjoint]:
        skipped = j <= skips
        at = tf.minimum(time + j, length - 1)
        glayers = _with_outputs(adjoint.layers, cotangents, skipped, at)
        if not spec.skips:
            return j - 1, adjoint._replace(layers=glayers)
        candidates, _ = _candidates(spec, split, at_times(sequences.inputs, at), layers, recurrent(j))
        stored = cumulatives.read(j)
        room = 1.0 - stored
        gprob, gcum = adjoint.update_prob, adjoint.cum_update_prob
        ggate = (
            _inner(glayers, candidates, layers)
            + gprob * (_propose(parameters, spec, candidates) - update_prob)
            + gcum * (1.0 - stored - tf.minimum(update_prob, room))
            + at_times(cotangents.gates, at)
        )
        gprob = tf.where(skipped & (update_prob <= room), gprob + ggate, gprob)
        gcum = tf.where(skipped, tf.where(update_prob <= room, ggate, 0.0), gcum)
        return j - 1, Adjoint(glayers, gprob, gcum)

    _, adjoint = tf.while_loop(lambda j, _: j > 0, body, (most, adjoint))
    return adjoint, cumulatives


def split_layers(spec: CellSpec, parameters: Parameters) -> list[Parameters]:
    """The parameters of every layer under their short names, with their weights cut for `recur` and `candidate`."""
    split = PIECES[spec.kind.name].split
    return [split(spec, layer_parameters(parameters, number)) for number in range(len(spec.units))]


def recurrent_parts(spec: CellSpec, split: list[Parameters], layers: Layers) -> tuple[Parts, ...]:
    """`recur` of every layer."""
    recur = PIECES[spec.kind.name].recur
    return tuple(recur(layer, state) for layer, state in zip(split, layers, strict=True))


def _candidates(
    spec: CellSpec, split: list[Parameters], below: Tensor, layers: Layers, recurrent: tuple[Parts, ...]
) -> tuple[Layers, tuple[Parts, ...]]:
    """The candidates of all layers, each the input of the next, and their records."""
    candidates: list[LayerState] = []
    records: list[Parts] = []
    for layer, state, parts in zip(split, layers, recurrent, strict=True):
        candidate, record = PIECES[spec.kind.name].candidate(spec, layer, below, state, parts)
        below = candidate[-1]
        candidates.append(candidate)
        records.append(record)
    return tuple(candidates), tuple(records)
