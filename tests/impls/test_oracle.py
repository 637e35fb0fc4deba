"""Both frameworks, forward and in float64, against the NumPy oracle; options that no recorded run covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impls import reference
from impls.contract import FRAMEWORKS, Array, CellSpec
from impls.kinds import cells
from tests.impls.frameworks import FORMS, build, forward, parameters_for

BATCH, TIME, FEATURES = 4, 6, 3
THREE = CellSpec(cell="skip_lstm", input_size=FEATURES, units=(4, 7, 5), update_bias=-0.5)
SPECS = {
    **{f"{cell} of three layers": replace(THREE, cell=cell) for cell in cells()},
    "gate of the lowest layer": replace(THREE, gate_layer=0),
    "gate of the middle layer, GRU": replace(THREE, cell="skip_gru", gate_layer=1),
    "layer norm": replace(THREE, layer_norm=True),
    "layer norm, GRU": replace(THREE, cell="skip_gru", layer_norm=True),
    "forget bias": replace(THREE, forget_bias=-0.7),
    "relu": replace(THREE, cell="skip_gru", activation="relu"),
    "sigmoid": replace(THREE, activation="sigmoid"),
    "identity": replace(THREE, activation="identity", units=(3,)),
    "zero initial state": replace(THREE, initial_state="zeros"),
    "Bernoulli gate": replace(THREE, gate="bernoulli"),
    "Bernoulli gate, one layer": replace(THREE, cell="skip_gru", gate="bernoulli", units=(5,)),
    "random skip": replace(THREE, cell="lstm"),
    "random skip, one layer": replace(THREE, cell="gru", units=(5,)),
}


def draws_for(name: str, spec: CellSpec) -> dict[str, Array]:
    """The random numbers that a cell of this case reads."""
    generator = np.random.default_rng(2)
    if spec.gate == "bernoulli":
        return {"gate_noise": generator.uniform(size=(BATCH, TIME))}
    if name.startswith("random skip"):
        return {"updates": (generator.uniform(size=(BATCH, TIME)) < 0.5).astype(np.float64)}
    return {}


def test_layer_norm_whose_deviation_overflows_is_nan() -> None:
    x, gains = np.array([[1.0, -1.0, 3.0, 2.0, 0.0, 1.0]]), np.ones((2, 3))
    some, more, most = (reference.layer_norm(size * x, gains=gains, biases=gains) for size in (1e9, 1e150, 1e155))
    np.testing.assert_allclose(more, some, rtol=1e-10)
    assert np.isnan(most).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", SPECS)
def test_forward_pass_is_the_oracles(name: str, framework: str, form: str) -> None:
    spec = SPECS[name]
    parameters, draws = parameters_for(spec), draws_for(name, spec)
    x = np.random.default_rng(3).normal(size=(BATCH, TIME, FEATURES))
    module = build(framework, form, spec, dtype="float64")
    module.load_parameters(parameters)
    ours = forward(framework, form, module, x, **draws)
    oracle = reference.unroll(spec, parameters, x, **draws)
    np.testing.assert_array_equal(ours.gates[..., 0], oracle.gates)
    np.testing.assert_allclose(ours.h, oracle.h, rtol=0, atol=1e-12)
    if spec.skips or draws:
        assert 0.0 < oracle.gates.mean() < 1.0  # the case does skip
    final = [leaf for layer in oracle.layers for leaf in layer]
    if spec.skips:
        np.testing.assert_allclose(ours.state[-2], oracle.update_probabilities[:, -1:], rtol=0, atol=1e-12)
        ours = ours._replace(state=ours.state[:-2])
    for leaf, expected in zip(ours.state, final, strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=0, atol=1e-12)
