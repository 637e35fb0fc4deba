"""Translates the variable names of the authors' released TensorFlow code to canonical ones and back.

Theirs are `<scope>/<Cell>/…` with a folder `layer_1`, `layer_2`, … in the `Multi…` cells, for example
`rnn/SkipLSTMCell/Weights`, `rnn/MultiSkipGRUCell/layer_2/gates/Biases`, `layer_1/initial_c/initial_state`. Gate
order and layouts are the same as the canonical ones; layer norm keeps one gain and bias per gate there, one row
per gate here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from impls.contract import GATE_NAMES, Array, Parameters, as_float32
from impls.errors import ParameterError

# Their name for the second gate of a GRU is u, for update; canonical is z.
_NORM_GATES = {"i": "i", "j": "j", "f": "f", "o": "o", "r": "r", "u": "z"}
_OFFICIAL_GATES = {ours: theirs for theirs, ours in _NORM_GATES.items()}

_DIRECT = {
    "Weights": "weights",
    "Biases": "biases",
    "gates/Weights": "gate_weights",
    "gates/Biases": "gate_biases",
    "candidate/Weights": "candidate_weights",
    "candidate/Biases": "candidate_biases",
    "initial_c/initial_state": "initial_c",
    "initial_h/initial_state": "initial_h",
}
_WHOLE_MODEL = {
    "state_update_prob/Weights": "update_gate.weights",
    "state_update_prob/Biases": "update_gate.biases",
    "fully_connected/weights": "readout.weights",
    "fully_connected/biases": "readout.biases",
}
_OPTIMIZER = re.compile(r"(/Adam(_1)?|beta[12]_power|global_step)$")
_NORM = re.compile(r"(?:^|/)([ijforu])/(gain|bias)$")
_LAYER = re.compile(r"(?:^|/)layer_(\d+)/")


def _ends_with(name: str, tail: str) -> bool:
    return name == tail or name.endswith(f"/{tail}")


def from_official(variables: Mapping[str, Array]) -> Parameters:
    """Canonical parameters from the variables of one of the authors' checkpoints, float32.

    Takes names with or without `:0` and outer scopes; leaves out the optimizer's slots. Raises `ParameterError`
    for a variable that it does not know.
    """
    translated: Parameters = {}
    norms: dict[tuple[int, str], dict[str, Array]] = {}
    for full_name, value in variables.items():
        name = full_name.split(":")[0]
        if _OPTIMIZER.search(name):
            continue
        numbered = _LAYER.search(name)
        layer = int(numbered[1]) - 1 if numbered else 0
        whole = next((ours for tail, ours in _WHOLE_MODEL.items() if _ends_with(name, tail)), None)
        norm = _NORM.search(name)
        # The longest tail wins: `gates/Weights` before `Weights`.
        direct = max((tail for tail in _DIRECT if _ends_with(name, tail)), key=len, default=None)
        if whole is not None:
            translated[whole] = as_float32(value)
        elif norm is not None:
            norms.setdefault((layer, norm[2]), {})[_NORM_GATES[norm[1]]] = value
        elif direct is not None:
            translated[f"layers.{layer}.{_DIRECT[direct]}"] = as_float32(value)
        else:
            raise ParameterError(f"{full_name!r} is not a variable of the authors' released cells")
    for (layer, part), of_gate in norms.items():
        order = GATE_NAMES["lstm" if "i" in of_gate else "gru"]
        missing = [_OFFICIAL_GATES[gate] for gate in order if gate not in of_gate]
        if missing:
            raise ParameterError(f"layer {layer + 1} has no layer-norm {part} for the gates {missing}")
        rows = np.stack([np.ravel(of_gate[gate]) for gate in order])
        translated[f"layers.{layer}.norm_{'gains' if part == 'gain' else 'biases'}"] = as_float32(rows)
    return dict(sorted(translated.items()))


def to_official(parameters: Mapping[str, Array], *, scope: str = "rnn", stacked: bool = False) -> Parameters:
    """The authors' variable names from canonical parameters; the inverse of `from_official`.

    Args:
        parameters: canonical names to values, of one cell or model.
        scope: the variable scope around the cell; `dynamic_rnn` uses `rnn`.
        stacked: name a cell of one layer as their `Multi…` cell would. More layers always are.
    """
    kind = "LSTM" if "layers.0.weights" in parameters else "GRU"
    skip = "Skip" if "update_gate.weights" in parameters else ""
    stacked = stacked or any(name.startswith("layers.1.") for name in parameters)
    cell = f"{scope}/{'Multi' if stacked else ''}{skip}{kind}Cell"
    official_direct = {ours: theirs for theirs, ours in _DIRECT.items()}
    official_whole = {ours: theirs for theirs, ours in _WHOLE_MODEL.items()}

    translated: Parameters = {}
    for name, value in parameters.items():
        if name in official_whole:
            inside = name.startswith("update_gate.")
            translated[f"{cell}/{official_whole[name]}" if inside else official_whole[name]] = as_float32(value)
            continue
        match = re.fullmatch(r"layers\.(\d+)\.(\w+)", name)
        if match is None:
            raise ParameterError(f"{name!r} has no counterpart in the authors' released cells")
        folder, short = (f"layer_{int(match[1]) + 1}/" if stacked else ""), match[2]
        if short in ("norm_gains", "norm_biases"):
            for gate, row in zip(GATE_NAMES[kind.lower()], np.asarray(value), strict=True):
                part = "gain" if short == "norm_gains" else "bias"
                translated[f"{cell}/{folder}{_OFFICIAL_GATES[gate]}/{part}"] = as_float32(row)
        elif short.startswith("initial_"):
            translated[f"{folder}{official_direct[short]}"] = as_float32(value)
        else:
            translated[f"{cell}/{folder}{official_direct[short]}"] = as_float32(value)
    return translated
