"""One framework against the other in float64, from equal parameters: outputs and gradients of every cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impls.contract import CellSpec
from impls.kinds import cells
from tests.impls.frameworks import FORMS, assert_gradients_close, build, parameters_for, run

BASE = CellSpec(cell="lstm", input_size=3, units=(6,), update_bias=-0.5)
SPECS = {
    **{f"{cell} {units}": replace(BASE, cell=cell, units=units) for cell in cells() for units in ((6,), (5, 4, 6))},
    **{f"{cell} layer norm": replace(BASE, cell=cell, units=(5, 6), layer_norm=True) for cell in cells()},
    "skip_gru, gate of the lowest layer": replace(BASE, cell="skip_gru", units=(5, 6), gate_layer=0),
    "skip_lstm, Bernoulli": replace(BASE, cell="skip_lstm", gate="bernoulli"),
    "layer norm of one unit": replace(BASE, cell="skip_lstm", units=(1,), layer_norm=True),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SPECS)
def test_outputs_and_gradients_agree(name: str, form: str) -> None:
    spec = SPECS[name]
    generator = np.random.default_rng(4)
    x = generator.normal(size=(3, 7, 3))
    cotangents = {
        "h_weight": generator.normal(size=(3, 7, spec.units[-1])),
        "gate_weight": generator.normal(size=(3, 7, 1)),
    }
    draws = {"gate_noise": generator.uniform(size=(3, 7))} if spec.gate == "bernoulli" else {}
    runs = []
    for framework in ("pytorch", "tensorflow"):
        module = build(framework, form, spec, dtype="float64")
        module.load_parameters(parameters_for(spec))
        runs.append(run(framework, form, module, x, **cotangents, **draws))
    ours, theirs = runs
    np.testing.assert_array_equal(ours.gates, theirs.gates)
    np.testing.assert_allclose(ours.h, theirs.h, rtol=0, atol=1e-12)
    for one, other in zip(ours.state, theirs.state, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert all(np.isfinite(gradient).all() for gradient in ours.gradients.values())
    assert_gradients_close(ours.gradients, theirs.gradients, tolerance=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", cells())
def test_equal_seeds_give_equal_parameters_and_others_do_not(cell: str, form: str) -> None:
    spec = replace(BASE, cell=cell, units=(5, 6), layer_norm=True)
    ours, theirs, others = (
        build(framework, form, spec, seed=seed).export_parameters()
        for framework, seed in (("pytorch", 7), ("tensorflow", 7), ("tensorflow", 8))
    )
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name])
    assert any((value != others[name]).any() for name, value in ours.items())
