"""The layers of `equations.py` with their adjoints, written by hand, in the pieces that the fast engine needs.

`split` cuts the weights once for all steps; `recur` is the part of the pre-activations that depends on the state
alone, which one update and the skips before it share; `candidate` completes it to a step; `backward` is the adjoint
of a step. Derivatives of the activations are taken from their outputs.

A step leaves its adjoint a record of one tensor `[batch, units]` a gate. Of a cell that skips these are the recurrent
parts, of which the candidates of skipped steps are made, and the gates again; of a plain cell the gates themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow.equations import ACTIVATION_FUNCTIONS, LAYER_NORM_EPSILON, LayerState, layer_norm

Parameters = Mapping[str, Tensor]
Gradients = dict[str, Tensor]
Parts = tuple[Tensor, ...]  # one tensor `[batch, units]` a gate

FEW_FEATURES = 4  # up to which a product with the inputs is a few element-wise passes that XLA fuses with the next

ACTIVATION_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda y: 1.0 - y * y,
    "relu": lambda y: tf.cast(y > 0, y.dtype),
    "sigmoid": lambda y: y * (1.0 - y),
    "identity": tf.ones_like,
}


class Pieces(NamedTuple):
    """The pieces of one kind of layer."""

    split: Callable[[CellSpec, Parameters], Parameters]
    recur: Callable[[Parameters, LayerState], Parts]
    candidate: Callable[[CellSpec, Parameters, Tensor, LayerState, Parts], tuple[LayerState, Parts]]
    backward: Callable[..., tuple[Tensor, LayerState, Gradients]]


def layer_norm_backward(x: Tensor, g: Tensor, *, gains: Tensor, gates: int) -> tuple[Tensor, Tensor, Tensor]:
    """The adjoint of `equations.layer_norm` at `x` for the cotangent `g`, both `[batch, gates * units]`.

    Returns the gradients of x, of the gains and of the biases.
    """
    units = gains.shape[1]
    parts, g = tf.reshape(x, [-1, gates, units]), tf.reshape(g, [-1, gates, units])
    centred = parts - tf.reduce_mean(parts, axis=2, keepdims=True)
    deviation = tf.sqrt(tf.reduce_mean(centred * centred, axis=2, keepdims=True))
    scale = 1.0 / (deviation + LAYER_NORM_EPSILON)
    inner = g * gains
    # A deviation of 0 (one unit, equal units) has gradient 0, as in the reference.
    slope = tf.math.divide_no_nan(tf.reduce_mean(inner * centred, axis=2, keepdims=True) * scale * scale, deviation)
    inner = inner * scale - centred * slope
    gx = inner - tf.reduce_mean(inner, axis=2, keepdims=True)
    return (
        tf.reshape(gx, tf.shape(x)),
        tf.reduce_sum(g * centred * scale, axis=0),
        tf.reduce_sum(g, axis=0),
    )


def _product_backward(x: Tensor, h: Tensor, g: Tensor, *, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The adjoint of `[x, h] @ weights + biases`; returns the gradients of x, h, the weights and the biases."""
    rows = tf.concat([x, h, tf.ones_like(x[:, :1])], axis=1)
    gweights = tf.matmul(rows, g, transpose_a=True)  # the row of ones makes its last row the biases' gradient
    gxh = tf.matmul(g, weights, transpose_b=True)
    return gxh[:, : x.shape[1]], gxh[:, x.shape[1] :], gweights[:-1], gweights[-1]


def _input_product(spec: CellSpec, x: Tensor, weights: Tensor) -> Tensor:
    """`x @ weights`, `[batch, gates * units]`."""
    features = x.shape[1]
    # Layer norm can make 1e-6 of a rounding error: there as the reference multiplies.
    if features > FEW_FEATURES or spec.layer_norm:
        return x @ weights
    return tf.add_n([x[:, k : k + 1] * weights[k] for k in range(features)])


def _split(weights: Tensor, *, units: int) -> tuple[Tensor, Tensor]:
    """The rows of `weights` that meet x, and those that meet h."""
    return weights[:-units], weights[-units:]


def lstm_split(spec: CellSpec, layer: Parameters) -> Parameters:
    """The layer's parameters with its weights cut in those of x and those of h."""
    of_x, of_h = _split(layer["weights"], units=layer["biases"].shape[0] // 4)
    return {**layer, "weights_of_x": of_x, "weights_of_h": of_h}


def _complete(spec: CellSpec, x: Tensor, recurrent: Parts, *, weights: Tensor, biases: Tensor) -> Parts:
    """Pre-activations: the recurrent parts with those of x and of the biases."""
    of_input = tf.split(_input_product(spec, x, weights), len(recurrent), axis=1)
    of_biases = tf.split(biases, len(recurrent))
    return tuple(a + b + c for a, b, c in zip(of_input, recurrent, of_biases, strict=True))


def _normalised(layer: Parameters, pre: Tensor, *, gates: int) -> Parts:
    return tuple(tf.split(layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"]), gates, axis=1))


def keeps_gates(spec: CellSpec) -> bool:
    """Whether the record of a step is its gates, not the recurrent parts."""
    return not spec.skips and not spec.layer_norm


def lstm_recur(layer: Parameters, state: LayerState) -> Parts:
    """`h U`, in four parts."""
    return tuple(tf.split(state[-1] @ layer["weights_of_h"], 4, axis=1))


def _lstm_gates(spec: CellSpec, pre: Parts) -> Parts:
    i, j, f, o = pre
    return tf.sigmoid(i), ACTIVATION_FUNCTIONS[spec.activation](j), tf.sigmoid(f + spec.forget_bias), tf.sigmoid(o)


def lstm_candidate(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Parts
) -> tuple[LayerState, Parts]:
    """`(c̃, h̃)` for the input `x`, from the `recurrent` parts; and the record."""
    pre = _complete(spec, x, recurrent, weights=layer["weights_of_x"], biases=layer["biases"])
    if spec.layer_norm:
        pre = _normalised(layer, tf.concat(pre, axis=1), gates=4)
    gates = i, j, f, o = _lstm_gates(spec, pre)
    new_c = state[0] * f + i * j
    return (new_c, ACTIVATION_FUNCTIONS[spec.activation](new_c) * o), gates if keeps_gates(spec) else recurrent


def lstm_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    record: Parts,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(c, h)` and of the parameters."""
    slope = ACTIVATION_SLOPES[spec.activation]
    (c, h), (new_c, _), (gc, gh) = state, new_state, g
    pre: Parts = ()
    unnormalised: Tensor | None = None
    if not keeps_gates(spec):
        pre = _complete(spec, x, record, weights=layer["weights_of_x"], biases=layer["biases"])
    if spec.layer_norm:
        unnormalised = tf.concat(pre, axis=1)
        pre = _normalised(layer, unnormalised, gates=4)
    i, j, f, o = _lstm_gates(spec, pre) if pre else record
    active = ACTIVATION_FUNCTIONS[spec.activation](new_c)
    gc = gc + gh * o * slope(active)
    gpre = tf.concat(
        [gc * j * i * (1.0 - i), gc * i * slope(j), gc * c * f * (1.0 - f), gh * active * o * (1.0 - o)], axis=1
    )
    gradients: Gradients = {}
    if unnormalised is not None:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            unnormalised, gpre, gains=layer["norm_gains"], gates=4
        )
    gx, gh, gradients["weights"], gradients["biases"] = _product_backward(x, h, gpre, weights=layer["weights"])
    return gx, (gc * f, gh), gradients


def gru_split(spec: CellSpec, layer: Parameters) -> Parameters:
    """The layer's parameters with its weights cut in those of x and those of h."""
    units = layer["candidate_biases"].shape[0]
    gates_of_x, gates_of_h = _split(layer["gate_weights"], units=units)
    of_x, of_reset = _split(layer["candidate_weights"], units=units)
    return {
        **layer,
        "gate_weights_of_x": gates_of_x,
        "gate_weights_of_h": gates_of_h,
        "candidate_weights_of_x": of_x,
        "candidate_weights_of_reset": of_reset,
    }


def gru_recur(layer: Parameters, state: LayerState) -> Parts:
    """`h U` of r and z; the candidate's product acts on `r h` and must wait for x."""
    return tuple(tf.split(state[0] @ layer["gate_weights_of_h"], 2, axis=1))


def gru_candidate(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Parts
) -> tuple[LayerState, Parts]:
    """`(h̃,)` for the input `x`, from the `recurrent` parts; and the record, in which the proposal comes last."""
    (h,) = state
    pre = _complete(spec, x, recurrent, weights=layer["gate_weights_of_x"], biases=layer["gate_biases"])
    if spec.layer_norm:
        pre = _normalised(layer, tf.concat(pre, axis=1), gates=2)
    gates = r, z = tuple(tf.sigmoid(part) for part in pre)
    proposal = ACTIVATION_FUNCTIONS[spec.activation](
        _input_product(spec, x, layer["candidate_weights_of_x"])
        + (r * h) @ layer["candidate_weights_of_reset"]
        + layer["candidate_biases"]
    )
    return (z * h + (1.0 - z) * proposal,), (*(gates if keeps_gates(spec) else recurrent), proposal)


def gru_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    record: Parts,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(h,)` and of the parameters."""
    (h,), (gh,), (*gates, proposal) = state, g, record
    pre: Parts = ()
    unnormalised: Tensor | None = None
    if not keeps_gates(spec):
        pre = _complete(spec, x, tuple(gates), weights=layer["gate_weights_of_x"], biases=layer["gate_biases"])
    if spec.layer_norm:
        unnormalised = tf.concat(pre, axis=1)
        pre = _normalised(layer, unnormalised, gates=2)
    r, z = (tf.sigmoid(part) for part in pre) if pre else gates
    gradients: Gradients = {}
    gproposal = gh * (1.0 - z) * ACTIVATION_SLOPES[spec.activation](proposal)
    gx, greset, gradients["candidate_weights"], gradients["candidate_biases"] = _product_backward(
        x, r * h, gproposal, weights=layer["candidate_weights"]
    )
    gpre = tf.concat([greset * h * r * (1.0 - r), gh * (h - proposal) * z * (1.0 - z)], axis=1)
    if unnormalised is not None:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            unnormalised, gpre, gains=layer["norm_gains"], gates=2
        )
    gx_gates, gh_gates, gradients["gate_weights"], gradients["gate_biases"] = _product_backward(
        x, h, gpre, weights=layer["gate_weights"]
    )
    return gx + gx_gates, (gh * z + greset * r + gh_gates,), gradients


PIECES = {
    "lstm": Pieces(lstm_split, lstm_recur, lstm_candidate, lstm_backward),
    "gru": Pieces(gru_split, gru_recur, gru_candidate, gru_backward),
}
