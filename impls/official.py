"""Translates the variable names of the authors' released TensorFlow code to canonical ones and back.

Theirs are `<scope>/<Cell>/…` with a folder `layer_1`, `layer_2`, … in the `Multi…` cells, for example
`rnn/SkipLSTMCell/Weights`, `rnn/MultiSkipGRUCell/layer_2/gates/Biases`, `layer_1/initial_c/initial_state`. Their
plain cells are `BasicLSTMCell` and `BasicGRUCell`, stacked under `multi_rnn_cell/cell_0`, `cell_1`, …. Gate order
and layouts are the same as the canonical ones; layer norm keeps one gain and bias per gate there, one row per
gate here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from impls.contract import Array, Parameters, as_float32
from impls.errors import ParameterError
from impls.kinds import GRU, LSTM

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
_CONSTANT = re.compile(r"(?:^|/)initial_(?:cum_)?update_prob/initial_state$")  # always 1 and 0, but saved with the rest
_NORM = re.compile(r"(?:^|/)([ijforu])/(gain|bias)$")
_CELL = re.compile(r"(?:^|/)\w*(?:LSTM|GRU)Cell/")
# A number counts where a stack puts it: within its cell, from 1; before an initial state, from 1; or in their own
# stack of plain cells, from 0. Outer scopes have names of their own, numbered ones too.
_LAYER = re.compile(r"(?:^|/)(?:Multi\w*Cell/layer_(\d+)/|layer_(\d+)/initial_[ch]/initial_state$)")
_STACKED_CELL = re.compile(r"(?:^|/)multi_rnn_cell/cell_(\d+)/")


def _ends_with(name: str, tail: str) -> bool:
    return name == tail or name.endswith(f"/{tail}")


def _layer_of(name: str) -> int:
    """The layer that a variable belongs to, counted from 0."""
    if numbered := _LAYER.search(name):
        return int(numbered[1] or numbered[2]) - 1
    numbered = _STACKED_CELL.search(name)
    return int(numbered[1]) if numbered else 0


def _canonical_name(name: str) -> str | None:
    """What one of their variables is called here, or None; a layer norm's gate stands in brackets."""
    for tail, ours in _WHOLE_MODEL.items():
        if _ends_with(name, tail):
            return ours
    if name.endswith("/initial_state") or _CELL.search(name):
        layer = f"layers.{_layer_of(name)}"
        if norm := _NORM.search(name):
            return f"{layer}.norm_{'gains' if norm[2] == 'gain' else 'biases'}[{_NORM_GATES[norm[1]]}]"
        # The longest tail wins: `gates/Weights` before `Weights`.
        direct = max((tail for tail in _DIRECT if _ends_with(name, tail)), key=len, default=None)
        if direct is not None:
            return f"{layer}.{_DIRECT[direct]}"
    return None


def from_official(variables: Mapping[str, Array]) -> Parameters:
    """Canonical parameters from the variables of one of the authors' checkpoints, float32.

    Takes names with or without `:0` and outer scopes; leaves out the optimizer's slots and the
    constant initial Δũ and ũ. Raises `ParameterError`
    for a variable that it does not know, and where two stand for one parameter.
    """
    translated: Parameters = {}
    sources: dict[str, str] = {}
    norms: dict[tuple[int, str], dict[str, Array]] = {}
    for full_name, value in variables.items():
        name = full_name.split(":")[0]
        if _OPTIMIZER.search(name) or _CONSTANT.search(name):
            continue
        canonical = _canonical_name(name)
        if canonical is None:
            raise ParameterError(f"{full_name!r} is not a variable of the authors' released cells")
        if canonical in sources:
            raise ParameterError(
                f"{sources[canonical]!r} and {full_name!r} both stand for {canonical!r}: give one cell"
            )
        sources[canonical] = full_name
        norm = _NORM.search(name)
        if norm is None:
            translated[canonical] = as_float32(value)
        else:
            norms.setdefault((_layer_of(name), norm[2]), {})[_NORM_GATES[norm[1]]] = value
    for (layer, part), of_gate in norms.items():
        order = next(kind for kind in (LSTM, GRU) if set(of_gate) & set(kind.normalised)).normalised
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
    kind = LSTM if "layers.0.weights" in parameters else GRU
    skip = "update_gate.weights" in parameters
    stacked = stacked or any(name.startswith("layers.1.") for name in parameters)
    skip_cell = f"{scope}/{'Multi' if stacked else ''}Skip{kind.name.upper()}Cell"
    official_direct = {ours: theirs for theirs, ours in _DIRECT.items()}
    official_whole = {ours: theirs for theirs, ours in _WHOLE_MODEL.items()}

    translated: Parameters = {}
    for name, value in parameters.items():
        match = re.fullmatch(r"layers\.(\d+)\.(\w+)", name)
        layer, short = (int(match[1]), match[2]) if match else (0, "")
        folder = f"layer_{layer + 1}/" if stacked else ""
        if skip:
            inside = f"{skip_cell}/{folder}"
        else:
            inside = f"{scope}/{f'multi_rnn_cell/cell_{layer}/' if stacked else ''}Basic{kind.name.upper()}Cell/"
        if name in official_whole:
            tail = official_whole[name]
            translated[f"{skip_cell}/{tail}" if name.startswith("update_gate.") else tail] = as_float32(value)
        elif short in ("norm_gains", "norm_biases"):
            part = "gain" if short == "norm_gains" else "bias"
            if kind is GRU and not skip:
                inside += "gates/"  # their plain GRU makes its norms inside the scope of its gates
            for gate, row in zip(kind.normalised, np.asarray(value), strict=True):
                translated[f"{inside}{_OFFICIAL_GATES[gate]}/{part}"] = as_float32(row)
        elif short.startswith("initial_"):
            translated[f"{folder}{official_direct[short]}"] = as_float32(value)
        elif short in official_direct:
            translated[f"{inside}{official_direct[short]}"] = as_float32(value)
        else:
            raise ParameterError(f"{name!r} has no counterpart in the authors' released cells")
    return translated
