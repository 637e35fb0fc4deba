"""The element-wise part of the cells: what stands between two matrix products, one pass over memory each.

Equations and names as in `equations.py`; the gradients are derived in `docs/engines.md`. Each is called with the number
of the activation and a tuple of arrays, in the order given to `lanewise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impls.pytorch.engines.kernels.activations import KINDS, activate, sigmoid, slope
from impls.pytorch.engines.kernels.lanes import Lanes, lanewise

Several = tuple[Lanes, ...]
Written = Mapping[str, Any]


@lanewise(KINDS, pre=4, gates=4, forget=0, old_c=1, state=2, new=2)
def lstm_candidate(kind: int, pre: Several, forget: Lanes, old_c: Lanes) -> Written:
    """From pre-activations to the gates `(i, j, f, o)` and, twice, the candidate state; `new` may lie on the old."""
    i, j, f, o = sigmoid(pre[0]), activate(kind, pre[1]), sigmoid(pre[2] + forget), sigmoid(pre[3])
    c = old_c * f + i * j
    state = (c, activate(kind, c) * o)
    return {"gates": (i, j, f, o), "state": state, "new": state}


@lanewise(KINDS, gates=4, c=1, old_c=1, flow_c=1, flow_h=1, change=4)
def lstm_back(kind: int, gates: Several, c: Lanes, old_c: Lanes, flow_c: Lanes, flow_h: Lanes) -> Written:
    """From gradients of the candidate state to those of the pre-activations and, in `flow_c`, of the old c."""
    i, j, f, o = gates
    active = activate(kind, c)
    dc = flow_c + slope(kind, active, flow_h * o)
    di = dc * j * (i * (1.0 - i))
    dj = slope(kind, j, dc * i)
    df = dc * old_c * (f * (1.0 - f))
    do = flow_h * active * (o * (1.0 - o))
    return {"change": (di, dj, df, do), "flow_c": dc * f}


@lanewise(pre=2, gates=2, old_h=1, reset=1)
def gru_gates(_: int, pre: Several, old_h: Lanes) -> Written:
    """From pre-activations to the gates `(r, z)`, and `r h`."""
    r, z = sigmoid(pre[0]), sigmoid(pre[1])
    return {"gates": (r, z), "reset": r * old_h}


@lanewise(KINDS, z=1, pre=1, proposal=1, old_h=1, state=1, new=1)
def gru_candidate(kind: int, z: Lanes, pre: Lanes, old_h: Lanes) -> Written:
    """From the proposal's pre-activation to the proposal and, twice, the candidate state; `new` may lie on the old."""
    proposal = activate(kind, pre)
    h = z * old_h + (1.0 - z) * proposal
    return {"proposal": proposal, "state": h, "new": h}


@lanewise(KINDS, z=1, proposal=1, old_h=1, flow_h=1, z_change=1, proposal_change=1)
def gru_back(kind: int, z: Lanes, proposal: Lanes, old_h: Lanes, flow_h: Lanes) -> Written:
    """From the gradient of the candidate state to those of two pre-activations and, in `flow_h`, of the old h."""
    return {
        "z_change": flow_h * (old_h - proposal) * (z * (1.0 - z)),
        "proposal_change": slope(kind, proposal, flow_h * (1.0 - z)),
        "flow_h": flow_h * z,
    }


@lanewise(r=1, old_h=1, reset=1, reset_change=1, flow_h=1, r_change=1)
def gru_reset_back(_: int, r: Lanes, old_h: Lanes, reset_change: Lanes, flow_h: Lanes) -> Written:
    """From the gradient of `r h` to that of r's pre-activation, and on to the old h; `r h` made again."""
    return {
        "reset": r * old_h,
        "r_change": reset_change * old_h * (r * (1.0 - r)),
        "flow_h": flow_h + reset_change * r,
    }


@lanewise(new=1, old=1, flow=1, before=1, moved=1, along=0)
def leave_update(_: int, new: Lanes, old: Lanes, flow: Lanes) -> Written:
    """Copies of the state before an update and of its gradient; to `along`, `⟨flow, s̃ − s⟩`."""
    return {"before": old, "moved": flow, "along": flow * (new - old)}


@lanewise(logit=0, fed=1, weights=1, of_weights=1, moved=1)
def gate_back(_: int, logit: Lanes, fed: Lanes, weights: Lanes, of_weights: Lanes, moved: Lanes) -> Written:
    """The gradient through the skip gate's logit, added to that of its weights and of the state that feeds it."""
    return {"of_weights": of_weights + logit * fed, "moved": moved + logit * weights}


@lanewise(flow=1, new=1, old=1, along=0)
def add_along(_: int, flow: Lanes, new: Lanes, old: Lanes) -> Written:
    """Adds `⟨flow, s̃ − s⟩` to `along`."""
    return {"along": flow * (new - old)}


@lanewise(weights=1, fed=1, logit=0)
def add_logit(_: int, weights: Lanes, fed: Lanes) -> Written:
    """Adds `s W` to `logit`, a float64, since a gate may hang on its last digit."""
    return {"logit": weights.as_double() * fed.as_double()}
