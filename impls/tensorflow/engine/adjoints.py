"""The layers of `steps.py` with their adjoints, written by hand, in the pieces that the fast engine needs.

`recur` is the part of the pre-activations that depends on the state alone, which one update and the skips before it
share; `candidate` completes it to a step; `backward` is the adjoint of a step, activations made again rather than
kept. Derivatives of the activations are taken from their outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow.steps import ACTIVATION_FUNCTIONS, LAYER_NORM_EPSILON, LayerState, layer_norm

Parameters = Mapping[str, Tensor]
Gradients = dict[str, Tensor]

ACTIVATION_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda y: 1.0 - y * y,
    "relu": lambda y: tf.cast(y > 0, y.dtype),
    "sigmoid": lambda y: y * (1.0 - y),
    "identity": tf.ones_like,
}


class Pieces(NamedTuple):
    """The three pieces of one kind of layer."""

    recur: Callable[[CellSpec, Parameters, LayerState], Tensor]
    candidate: Callable[[CellSpec, Parameters, Tensor, LayerState, Tensor], LayerState]
    backward: Callable[..., tuple[Tensor, LayerState, Gradients]]


def layer_norm_backward(x: Tensor, g: Tensor, *, gains: Tensor, gates: int) -> tuple[Tensor, Tensor, Tensor]:
    """The adjoint of `steps.layer_norm` at `x` for the cotangent `g`, both `[batch, gates * units]`.

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


def lstm_recur(spec: CellSpec, layer: Parameters, state: LayerState) -> Tensor:
    """`h U`, `[batch, 4 * units]`."""
    h = state[-1]
    return h @ layer["weights"][-h.shape[1] :]


def _lstm_gates(spec: CellSpec, layer: Parameters, pre: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    i, j, f, o = tf.split(pre, 4, axis=1)
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    return tf.sigmoid(i), activation(j), tf.sigmoid(f + spec.forget_bias), tf.sigmoid(o)


def _lstm_state(spec: CellSpec, layer: Parameters, pre: Tensor, c: Tensor) -> LayerState:
    i, j, f, o = _lstm_gates(spec, layer, pre)
    new_c = c * f + i * j
    return new_c, ACTIVATION_FUNCTIONS[spec.activation](new_c) * o


def lstm_candidate(spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Tensor) -> LayerState:
    """`(c̃, h̃)` for the input `x`, from the `recurrent` part."""
    pre = x @ layer["weights"][: x.shape[1]] + recurrent + layer["biases"]
    return _lstm_state(spec, layer, pre, state[0])


def lstm_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    recurrent: Tensor,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(c, h)` and of the parameters."""
    slope = ACTIVATION_SLOPES[spec.activation]
    (c, h), (new_c, _), (gc, gh) = state, new_state, g
    pre = x @ layer["weights"][: x.shape[1]] + recurrent + layer["biases"]
    i, j, f, o = _lstm_gates(spec, layer, pre)
    active = ACTIVATION_FUNCTIONS[spec.activation](new_c)
    gc = gc + gh * o * slope(active)
    gpre = tf.concat(
        [gc * j * i * (1.0 - i), gc * i * slope(j), gc * c * f * (1.0 - f), gh * active * o * (1.0 - o)], axis=1
    )
    gradients: Gradients = {}
    if spec.layer_norm:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            pre, gpre, gains=layer["norm_gains"], gates=4
        )
    gx, gh, gradients["weights"], gradients["biases"] = _product_backward(x, h, gpre, weights=layer["weights"])
    return gx, (gc * f, gh), gradients


def gru_recur(spec: CellSpec, layer: Parameters, state: LayerState) -> Tensor:
    """`h U` of the gates, `[batch, 2 * units]`; the candidate's product acts on `r h` and must wait for x."""
    (h,) = state
    return h @ layer["gate_weights"][-h.shape[1] :]


def _gru_gates(spec: CellSpec, layer: Parameters, pre: Tensor) -> tuple[Tensor, Tensor]:
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    r, z = tf.split(tf.sigmoid(pre), 2, axis=1)
    return r, z


def _gru_proposal(layer: Parameters, x: Tensor, reset: Tensor) -> Tensor:
    return tf.concat([x, reset], axis=1) @ layer["candidate_weights"] + layer["candidate_biases"]


def gru_candidate(spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Tensor) -> LayerState:
    """`(h̃,)` for the input `x`, from the `recurrent` part."""
    (h,) = state
    pre = x @ layer["gate_weights"][: x.shape[1]] + recurrent + layer["gate_biases"]
    r, z = _gru_gates(spec, layer, pre)
    proposal = ACTIVATION_FUNCTIONS[spec.activation](_gru_proposal(layer, x, r * h))
    return (z * h + (1.0 - z) * proposal,)


def gru_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    recurrent: Tensor,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(h,)` and of the parameters."""
    (h,), (gh,) = state, g
    pre = x @ layer["gate_weights"][: x.shape[1]] + recurrent + layer["gate_biases"]
    r, z = _gru_gates(spec, layer, pre)
    proposal = ACTIVATION_FUNCTIONS[spec.activation](_gru_proposal(layer, x, r * h))
    gradients: Gradients = {}
    gproposal = gh * (1.0 - z) * ACTIVATION_SLOPES[spec.activation](proposal)
    gx, greset, gradients["candidate_weights"], gradients["candidate_biases"] = _product_backward(
        x, r * h, gproposal, weights=layer["candidate_weights"]
    )
    gpre = tf.concat([greset * h * r * (1.0 - r), gh * (h - proposal) * z * (1.0 - z)], axis=1)
    if spec.layer_norm:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            pre, gpre, gains=layer["norm_gains"], gates=2
        )
    gx_gates, gh_gates, gradients["gate_weights"], gradients["gate_biases"] = _product_backward(
        x, h, gpre, weights=layer["gate_weights"]
    )
    return gx + gx_gates, (gh * z + greset * r + gh_gates,), gradients


PIECES = {
    "lstm": Pieces(lstm_recur, lstm_candidate, lstm_backward),
    "gru": Pieces(gru_recur, gru_candidate, gru_backward),
}
