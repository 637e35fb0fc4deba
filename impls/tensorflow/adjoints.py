"""The layers of `equations.py` taken apart for a gradient written by hand, for every kind of cell.

Forward, a step is `recur`, the part of the pre-activations that depends on the state alone; `activate`, the gates that
wait for no other; and `complete`, the candidate state. Back, `backward` goes from the candidate's gradient to those of
the pre-activations and of the old state; `inputs_gradient` and `weight_gradients` make the rest of these. Shapes are
`[…, width]`: a round of sequences, one step, or all steps at once. Derivatives of activations are taken from their
outputs. What tells one kind from another stands in `PIECES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow.equations import ACTIVATION_FUNCTIONS, LAYER_NORM_EPSILON, LayerState, layer_norm
from impls.tensorflow.products import product
from impls.tensorflow.skip_gate import gate_dtype

Parameters = Mapping[str, Tensor]
Gradients = dict[str, Tensor]
Parts = tuple[Tensor, ...]  # one tensor `[…, units]` a gate

_FEW_FEATURES = 4  # up to which a product with the inputs is a few element-wise passes that XLA fuses with the next

ACTIVATION_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda y: 1.0 - y * y,
    "relu": lambda y: tf.cast(y > 0, y.dtype),
    "sigmoid": lambda y: y * (1.0 - y),
    "identity": tf.ones_like,
}


class Activated(NamedTuple):
    """A layer's gates, in the order of its kind; `pre` is what layer norm took, None where there is none."""

    pre: Tensor | None
    gates: Parts


class Changes(NamedTuple):
    """Gradients of a layer's pre-activations: `products` of each matrix, `normed` after the first one's layer norm."""

    products: tuple[Tensor, ...]
    normed: Tensor


class Entering(NamedTuple):
    """Gradients where a candidate's adjoint meets the matrices.

    Of the first matrix's pre-activations, one a gate (`early`); of those of each later matrix (`late`); of the old
    state but h (`rest`), and of h beside the first matrix (`beside`), None for nothing.
    """

    early: Parts
    late: tuple[Tensor, ...]
    rest: tuple[Tensor, ...]
    beside: Tensor | None


class Pieces(NamedTuple):
    """What one kind of layer does between its products.

    Attributes:
        activate: the gates of the first matrix from their pre-activations.
        complete: the candidate state and the gates of later matrices, from those of the first.
        backward: the adjoint of both.
        reads: what each matrix reads beside x.
    """

    activate: Callable[[CellSpec, Parts], Parts]
    complete: Callable[[CellSpec, Parameters, Tensor, LayerState, Parts], tuple[LayerState, Parts]]
    backward: Callable[[CellSpec, Parameters, LayerState, LayerState, Parts, LayerState], Entering]
    reads: Callable[[LayerState, Parts], tuple[Tensor, ...]]


def pieces_of(spec: CellSpec) -> Pieces:
    """The pieces of the cell's kind."""
    return PIECES[spec.kind.name]


def layer_norm_backward(x: Tensor, g: Tensor, *, gains: Tensor) -> Tensor:
    """The adjoint of `equations.layer_norm` at `x` for the cotangent `g`, both `[…, gates * units]`."""
    centred, deviation = _centred(x, gains=gains)
    scale = 1.0 / (deviation + LAYER_NORM_EPSILON)
    inner = tf.reshape(tf.cast(g, centred.dtype), [-1, *gains.shape]) * tf.cast(gains, centred.dtype)
    # A deviation of 0 (one unit, equal units) has gradient 0, as in the reference.
    slope = tf.math.divide_no_nan(tf.reduce_mean(inner * centred, axis=2, keepdims=True) * scale * scale, deviation)
    inner = inner * scale - centred * slope
    return tf.cast(tf.reshape(inner - tf.reduce_mean(inner, axis=2, keepdims=True), tf.shape(x)), x.dtype)


def layer_norm_gradients(x: Tensor, g: Tensor, *, gains: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of gains and biases, `[gates, units]`, float32 at least; arguments as for `layer_norm_backward`."""
    centred, deviation = _centred(x, gains=gains)
    g = tf.reshape(tf.cast(g, centred.dtype), [-1, *gains.shape])
    return tf.reduce_sum(g * centred / (deviation + LAYER_NORM_EPSILON), axis=0), tf.reduce_sum(g, axis=0)


def _centred(x: Tensor, *, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Each gate's pre-activations less their mean, `[rows, gates, units]`, and their deviation; float32 at least."""
    parts = tf.reshape(tf.cast(x, gate_dtype(x.dtype)), [-1, *gains.shape])
    centred = parts - tf.reduce_mean(parts, axis=2, keepdims=True)
    return centred, tf.sqrt(tf.reduce_mean(centred * centred, axis=2, keepdims=True))


def split(spec: CellSpec, layer: Parameters) -> Parameters:
    """The layer's parameters with every matrix cut in the rows that meet x and those that meet h."""
    cut: dict[str, Tensor] = {}
    for matrix in spec.kind.matrices:
        weights = layer[f"{matrix.prefix}weights"]
        units = weights.shape[1] // len(matrix.gates)
        cut[f"{matrix.prefix}weights_of_x"], cut[f"{matrix.prefix}weights_of_h"] = weights[:-units], weights[-units:]
    return {**layer, **cut}


def recur(spec: CellSpec, layer: Parameters, state: LayerState) -> Parts:
    """`h U` of the first matrix, one part a gate."""
    first = spec.kind.matrices[0]
    of_h = product(state[-1], layer[f"{first.prefix}weights_of_h"], precision=spec.precision)
    return tuple(tf.split(of_h, len(first.gates), axis=-1))


def activate(spec: CellSpec, layer: Parameters, x: Tensor, recurrent: Parts) -> Activated:
    """The gates of the first matrix, from the inputs and the `recurrent` parts."""
    first = spec.kind.matrices[0]
    of_input = tf.split(_input_product(spec, x, layer[f"{first.prefix}weights_of_x"]), len(recurrent), axis=-1)
    of_biases = tf.split(layer[f"{first.prefix}biases"], len(recurrent))
    parts = tuple(a + b + c for a, b, c in zip(of_input, recurrent, of_biases, strict=True))
    pre: Tensor | None = None
    if spec.layer_norm:
        pre = tf.concat(parts, axis=-1)
        normed = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
        parts = tuple(tf.split(normed, len(recurrent), axis=-1))
    return Activated(pre, pieces_of(spec).activate(spec, parts))


def complete(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, activated: Activated
) -> tuple[LayerState, Activated]:
    """The candidate state, and all gates."""
    candidate, late = pieces_of(spec).complete(spec, layer, x, state, activated.gates)
    return candidate, Activated(activated.pre, (*activated.gates, *late))


def backward(
    spec: CellSpec,
    layer: Parameters,
    state: LayerState,
    candidate: LayerState,
    activated: Activated,
    cotangents: LayerState,
) -> tuple[Changes, LayerState]:
    """From the gradient of the candidate state to those of the pre-activations and of the old state."""
    entering = pieces_of(spec).backward(spec, layer, state, candidate, activated.gates, cotangents)
    normed = tf.concat(entering.early, axis=-1)
    change = normed
    if activated.pre is not None:
        change = layer_norm_backward(activated.pre, normed, gains=layer["norm_gains"])
    _, through = _split_product(
        spec, change, layer[f"{spec.kind.matrices[0].prefix}weights"], units=cotangents[-1].shape[-1]
    )
    gh = through if entering.beside is None else entering.beside + through
    return Changes((change, *entering.late), normed), (*entering.rest, gh)


def inputs_gradient(spec: CellSpec, layer: Parameters, changes: Changes) -> Tensor:
    """The gradient of what the layer reads."""
    named = zip(spec.kind.matrices, changes.products, strict=True)
    units = changes.normed.shape[-1] // len(spec.kind.normalised)
    terms = [_split_product(spec, change, layer[f"{matrix.prefix}weights"], units=units)[0] for matrix, change in named]
    return tf.add_n(terms)


def weight_gradients(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, activated: Activated, changes: Changes
) -> Gradients:
    """The layer's gradients under short names, each one product."""
    gradients: Gradients = {}
    reads = pieces_of(spec).reads(state, activated.gates)
    for matrix, read, change in zip(spec.kind.matrices, reads, changes.products, strict=True):
        weights, biases = f"{matrix.prefix}weights", f"{matrix.prefix}biases"
        # Not one product of both beside each other: XLA's code for AVX-512 puts wrong numbers into such a concatenation
        # where `read` is computed on the way, of 4 × 5 numbers in float64 (TensorFlow 2.21).
        parts = [product(rows, change, precision=spec.precision, transpose_left=True) for rows in (x, read)]
        gradients[weights], gradients[biases] = tf.concat(parts, axis=0), tf.reduce_sum(change, axis=0)
    if activated.pre is not None:
        of_norm = layer_norm_gradients(activated.pre, changes.normed, gains=layer["norm_gains"])
        gradients["norm_gains"], gradients["norm_biases"] = of_norm
    return gradients


def _input_product(spec: CellSpec, x: Tensor, weights: Tensor) -> Tensor:
    """`x @ weights`, `[…, gates * units]`."""
    if spec.precision != "float32":
        return product(x, weights, precision=spec.precision)
    features = x.shape[-1]
    # Layer norm can make 1e-6 of a rounding error: there as the reference multiplies.
    if features > _FEW_FEATURES or spec.layer_norm:
        return x @ weights
    return tf.add_n([x[..., k : k + 1] * weights[k] for k in range(features)])


def _split_product(spec: CellSpec, g: Tensor, weights: Tensor, *, units: int) -> tuple[Tensor, Tensor]:
    """`g @ weights.T`, cut in the gradients of x and of what follows it; asked for twice, XLA makes one product."""
    both = product(g, weights, precision=spec.precision, transpose_right=True)
    return both[..., :-units], both[..., -units:]


def lstm_activate(spec: CellSpec, pre: Parts) -> Parts:
    """`σ(i), φ(j), σ(f + forget bias), σ(o)`."""
    i, j, f, o = pre
    active = ACTIVATION_FUNCTIONS[spec.activation](j)
    return tf.sigmoid(i), active, tf.sigmoid(f + spec.forget_bias), tf.sigmoid(o)


def lstm_complete(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, gates: Parts
) -> tuple[LayerState, Parts]:
    """`c̃ = c f + i j`, `h̃ = φ(c̃) o`; no more gates."""
    i, j, f, o = gates
    c = state[0] * f + i * j
    return (c, ACTIVATION_FUNCTIONS[spec.activation](c) * o), ()


def lstm_backward(
    spec: CellSpec, layer: Parameters, state: LayerState, candidate: LayerState, gates: Parts, cotangents: LayerState
) -> Entering:
    """The adjoint of `lstm_activate` and `lstm_complete`; h reaches them through the matrix alone."""
    slope = ACTIVATION_SLOPES[spec.activation]
    (i, j, f, o), (gc, gh) = gates, cotangents
    active = ACTIVATION_FUNCTIONS[spec.activation](candidate[0])
    gc = gc + gh * o * slope(active)
    early = (
        gc * j * i * (1.0 - i),
        gc * i * slope(j),
        gc * state[0] * f * (1.0 - f),
        gh * active * o * (1.0 - o),
    )
    return Entering(early, (), (gc * f,), None)


def lstm_reads(state: LayerState, gates: Parts) -> tuple[Tensor, ...]:
    """`(h,)`."""
    return (state[1],)


def gru_activate(spec: CellSpec, pre: Parts) -> Parts:
    """`σ(r), σ(z)`."""
    return tuple(tf.sigmoid(part) for part in pre)


def gru_complete(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, gates: Parts
) -> tuple[LayerState, Parts]:
    """`h̃ = z h + (1 − z) n` with the proposal `n = φ(W [x, r h] + b)`, which is the last gate."""
    (h,), (r, z) = state, gates
    of_input = _input_product(spec, x, layer["candidate_weights_of_x"])
    of_h = product(r * h, layer["candidate_weights_of_h"], precision=spec.precision)
    proposal = ACTIVATION_FUNCTIONS[spec.activation](of_input + of_h + layer["candidate_biases"])
    return (z * h + (1.0 - z) * proposal,), (proposal,)


def gru_backward(
    spec: CellSpec, layer: Parameters, state: LayerState, candidate: LayerState, gates: Parts, cotangents: LayerState
) -> Entering:
    """The adjoint of `gru_activate` and `gru_complete`."""
    (h,), (r, z, proposal), (gh,) = state, gates, cotangents
    gproposal = gh * (1.0 - z) * ACTIVATION_SLOPES[spec.activation](proposal)
    _, greset = _split_product(spec, gproposal, layer["candidate_weights"], units=h.shape[-1])
    early = greset * h * r * (1.0 - r), gh * (h - proposal) * z * (1.0 - z)
    return Entering(early, (gproposal,), (), gh * z + greset * r)


def gru_reads(state: LayerState, gates: Parts) -> tuple[Tensor, ...]:
    """`(h, r h)`."""
    return state[0], gates[0] * state[0]


PIECES = {
    "lstm": Pieces(lstm_activate, lstm_complete, lstm_backward, lstm_reads),
    "gru": Pieces(gru_activate, gru_complete, gru_backward, gru_reads),
}
