"""The recorded runs of the authors' released cells (`golden/README.md`), under canonical names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impls.contract import Array, CellSpec, Parameters
from impls.parameters import from_official

FOLDER = Path(__file__).parent / "golden"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.npz")))


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """One file: what went in, what came out, and the gradients of `loss`."""

    spec: CellSpec
    stacked: bool
    variables: Parameters
    parameters: Parameters
    x: Array
    h: Array
    state_gate: Array
    loss: float
    loss_weight: Array
    cost_per_sample: float
    gradients: Parameters


def load(name: str) -> RecordedRun:
    """Reads one file, `<cell>_<units>[_layernorm]_bias<update bias>`."""
    match = re.fullmatch(r"(skip_\w+?)_(\d+(?:x\d+)*)(_layernorm)?_bias([+-]\d)", name)
    assert match is not None
    units = tuple(int(number) for number in match[2].split("x"))
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    variables = {key.removeprefix("var/"): value for key, value in arrays.items() if key.startswith("var/")}
    gradients = {key.removeprefix("grad/"): value for key, value in arrays.items() if key.startswith("grad/")}
    gradient_of_x = gradients.pop("x")
    return RecordedRun(
        spec=CellSpec(
            cell=match[1],
            input_size=arrays["x"].shape[2],
            units=units,
            layer_norm=match[3] is not None,
            update_bias=float(match[4]),
        ),
        stacked=len(units) > 1,
        variables=variables,
        parameters=from_official(variables),
        x=arrays["x"],
        h=arrays["h"],
        state_gate=arrays["state_gate"],
        loss=float(arrays["loss"]),
        loss_weight=arrays["loss_weight"],
        cost_per_sample=float(arrays["cost_per_sample"]),
        gradients={**from_official(gradients), "x": gradient_of_x},
    )
