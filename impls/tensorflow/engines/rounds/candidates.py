"""The candidates of a whole stack at one round or one skipped step, and what a round keeps of them."""

from __future__ import annotations

from typing import NamedTuple

from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow import skip_gate
from impls.tensorflow.adjoints import Activated, Parts, activate, complete, recur, split
from impls.tensorflow.engines.rounds.positions import Layers, Parameters
from impls.tensorflow.equations import LayerState, layer_parameters


class Weights(NamedTuple):
    """Parameters as rounds read them: of every layer under short names, cut by `split`, and the skip gate's or ()."""

    layers: tuple[Parameters, ...]
    gate: tuple[Tensor, ...]


def weights_of(spec: CellSpec, parameters: Parameters) -> Weights:
    """The parameters under canonical names, made ready for all rounds."""
    layers = tuple(split(spec, layer_parameters(parameters, number)) for number in range(len(spec.units)))
    gate = (parameters["update_gate.weights"], parameters["update_gate.biases"]) if spec.skips else ()
    return Weights(layers, gate)


def recurrent_parts(spec: CellSpec, weights: Weights, layers: Layers) -> tuple[Parts, ...]:
    """`recur` of every layer: what an update and the skips before it share."""
    return tuple(recur(spec, layer, state) for layer, state in zip(weights.layers, layers, strict=True))


def candidates_of(
    spec: CellSpec, weights: Weights, below: Tensor, layers: Layers, recurrent: tuple[Parts, ...]
) -> tuple[Layers, tuple[Parts, ...]]:
    """The candidates of all layers, each the input of the next, and their records."""
    candidates: list[LayerState] = []
    records: list[Parts] = []
    for layer, state, parts in zip(weights.layers, layers, recurrent, strict=True):
        candidate, activated = complete(spec, layer, below, state, activate(spec, layer, below, parts))
        below = candidate[-1]
        candidates.append(candidate)
        records.append(record(spec, activated, parts))
    return tuple(candidates), tuple(records)


def keeps_gates(spec: CellSpec) -> bool:
    """Whether the record of a layer's step is its gates, not the recurrent parts.

    Of recurrent parts the candidates of skipped steps are made, and the gates again without a product.
    """
    return not spec.skips and not spec.layer_norm


def record(spec: CellSpec, activated: Activated, recurrent: Parts) -> Parts:
    """What a layer's step leaves to its adjoint, `[batch, units]` a gate; gates that wait for others last."""
    if keeps_gates(spec):
        return activated.gates
    return (*recurrent, *activated.gates[len(recurrent) :])


def recall(spec: CellSpec, layer: Parameters, x: Tensor, kept: Parts) -> Activated:
    """The gates again from a `record` and the inputs."""
    if keeps_gates(spec):
        return Activated(None, kept)
    early = len(spec.kind.normalised)
    activated = activate(spec, layer, x, kept[:early])
    return Activated(activated.pre, (*activated.gates, *kept[early:]))


def propose(spec: CellSpec, weights: Weights, candidates: Layers) -> Tensor:
    """Δũ of the candidates, `[batch]`."""
    of_weights, of_biases = weights.gate
    fed = candidates[spec.gate_layer][0]
    proposed = skip_gate.update_probability(fed, weights=of_weights, biases=of_biases, precision=spec.precision)
    return proposed[:, 0]
