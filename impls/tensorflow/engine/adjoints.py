"""The layers of `steps.py` with their adjoints, written by hand, in the pieces that the fast engine needs.

`split` cuts the weights once for all steps; `recur` is the part of the pre-activations that depends on the state
alone, which one update and the skips before it share; `candidate` completes it to a step and records what
`backward`, the adjoint of a step, asks for. Derivatives of the activations are taken from their outputs.
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
Record = tuple[Tensor, ...]  # what a step leaves to its adjoint beside the states: its gates, or what they come from

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
    recur: Callable[[Parameters, LayerState], Tensor]
    candidate: Callable[[CellSpec, Parameters, Tensor, LayerState, Tensor], tuple[LayerState, Record]]
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


def _input_product(x: Tensor, weights: Tensor) -> Tensor:
    """`x @ weights`, `[batch, gates * units]`."""
    features = x.shape[1]
    if features > FEW_FEATURES:
        return x @ weights
    return tf.add_n([x[:, k : k + 1] * weights[k] for k in range(features)])


def _split(weights: Tensor, *, units: int) -> tuple[Tensor, Tensor]:
    """The rows of `weights` that meet x, and those that meet h."""
    return weights[:-units], weights[-units:]


def lstm_split(spec: CellSpec, layer: Parameters) -> Parameters:
    """The layer's parameters with its weights cut in those of x and those of h."""
    of_x, of_h = _split(layer["weights"], units=layer["biases"].shape[0] // 4)
    return {**layer, "weights_of_x": of_x, "weights_of_h": of_h}


def lstm_recur(layer: Parameters, state: LayerState) -> Tensor:
    """`h U`, `[batch, 4 * units]`."""
    return state[-1] @ layer["weights_of_h"]


def _lstm_gates(spec: CellSpec, layer: Parameters, pre: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    i, j, f, o = tf.split(pre, 4, axis=1)
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    return tf.sigmoid(i), activation(j), tf.sigmoid(f + spec.forget_bias), tf.sigmoid(o)


def lstm_candidate(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Tensor
) -> tuple[LayerState, Record]:
    """`(c̃, h̃)` for the input `x`, from the `recurrent` part; and its gates (i, j, f, o), or what they come from."""
    (c, _), pre = state, _input_product(x, layer["weights_of_x"]) + recurrent + layer["biases"]
    i, j, f, o = _lstm_gates(spec, layer, pre)
    new_c = c * f + i * j
    return (new_c, ACTIVATION_FUNCTIONS[spec.activation](new_c) * o), (pre,) if spec.layer_norm else (i, j, f, o)


def lstm_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    record: Record,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(c, h)` and of the parameters."""
    slope = ACTIVATION_SLOPES[spec.activation]
    (c, h), (new_c, _), (gc, gh) = state, new_state, g
    i, j, f, o = _lstm_gates(spec, layer, *record) if spec.layer_norm else record
    active = ACTIVATION_FUNCTIONS[spec.activation](new_c)
    gc = gc + gh * o * slope(active)
    gpre = tf.concat(
        [gc * j * i * (1.0 - i), gc * i * slope(j), gc * c * f * (1.0 - f), gh * active * o * (1.0 - o)], axis=1
    )
    gradients: Gradients = {}
    if spec.layer_norm:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            *record, gpre, gains=layer["norm_gains"], gates=4
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


def gru_recur(layer: Parameters, state: LayerState) -> Tensor:
    """`h U` of the gates, `[batch, 2 * units]`; the candidate's product acts on `r h` and must wait for x."""
    return state[0] @ layer["gate_weights_of_h"]


def _gru_gates(spec: CellSpec, layer: Parameters, pre: Tensor) -> tuple[Tensor, Tensor]:
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    r, z = tf.split(tf.sigmoid(pre), 2, axis=1)
    return r, z


def gru_candidate(
    spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState, recurrent: Tensor
) -> tuple[LayerState, Record]:
    """`(h̃,)` for the input `x`, from the `recurrent` part; and its (proposal, r, z), or what these come from."""
    (h,), pre = state, _input_product(x, layer["gate_weights_of_x"]) + recurrent + layer["gate_biases"]
    r, z = _gru_gates(spec, layer, pre)
    proposal = ACTIVATION_FUNCTIONS[spec.activation](
        _input_product(x, layer["candidate_weights_of_x"])
        + (r * h) @ layer["candidate_weights_of_reset"]
        + layer["candidate_biases"]
    )
    return (z * h + (1.0 - z) * proposal,), (proposal, pre) if spec.layer_norm else (proposal, r, z)


def gru_backward(
    spec: CellSpec,
    layer: Parameters,
    x: Tensor,
    state: LayerState,
    new_state: LayerState,
    record: Record,
    g: LayerState,
) -> tuple[Tensor, LayerState, Gradients]:
    """The adjoint of one step: gradients of x, of `(h,)` and of the parameters."""
    (h,), (gh,), (proposal, *of_gates) = state, g, record
    r, z = _gru_gates(spec, layer, *of_gates) if spec.layer_norm else of_gates
    gradients: Gradients = {}
    gproposal = gh * (1.0 - z) * ACTIVATION_SLOPES[spec.activation](proposal)
    gx, greset, gradients["candidate_weights"], gradients["candidate_biases"] = _product_backward(
        x, r * h, gproposal, weights=layer["candidate_weights"]
    )
    gpre = tf.concat([greset * h * r * (1.0 - r), gh * (h - proposal) * z * (1.0 - z)], axis=1)
    if spec.layer_norm:
        gpre, gradients["norm_gains"], gradients["norm_biases"] = layer_norm_backward(
            *of_gates, gpre, gains=layer["norm_gains"], gates=2
        )
    gx_gates, gh_gates, gradients["gate_weights"], gradients["gate_biases"] = _product_backward(
        x, h, gpre, weights=layer["gate_weights"]
    )
    return gx + gx_gates, (gh * z + greset * r + gh_gates,), gradients


def record_widths(spec: CellSpec, *, units: int) -> tuple[int, ...]:
    """Widths of the tensors in the record of one layer's update."""
    if spec.kind == "lstm":
        return (4 * units,) if spec.layer_norm else (units,) * 4
    return (units, 2 * units) if spec.layer_norm else (units,) * 3


PIECES = {
    "lstm": Pieces(lstm_split, lstm_recur, lstm_candidate, lstm_backward),
    "gru": Pieces(gru_split, gru_recur, gru_candidate, gru_backward),
}
