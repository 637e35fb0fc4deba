"""Both frameworks, as a loop over a cell and as a layer, against the recorded runs of the authors' cells."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from impls import reference
from impls.contract import FRAMEWORKS
from tests.impls import recorded_runs
from tests.impls.frameworks import FORMS, assert_gradients_close, build, run

module_for = functools.cache(build)  # one module, and one trace, for the files that differ in values alone


def test_all_recorded_runs_are_here() -> None:
    assert len(recorded_runs.NAMES) == 24


@pytest.mark.parametrize("name", recorded_runs.NAMES)
def test_oracle_reproduces_the_forward_pass(name: str) -> None:
    recorded = recorded_runs.load(name)
    ours = reference.unroll(recorded.spec, recorded.parameters, recorded.x)
    np.testing.assert_array_equal(ours.gates[..., np.newaxis], recorded.state_gate)
    np.testing.assert_allclose(ours.h, recorded.h, rtol=0, atol=2e-6)


def _in_a_form(name: str, framework: str, form: str) -> Any:
    """Where each form is traced for seconds, half of the programs are a cell's and half a layer's in `make test`."""
    is_stack, is_normalised = "x" in name.removeprefix("skip_"), "layernorm" in name
    seldom = framework == "tensorflow" and (form == "cell") == (is_stack == is_normalised)
    return pytest.param(name, framework, form, marks=pytest.mark.slow if seldom else ())


@pytest.mark.parametrize(
    ("name", "framework", "form"),
    [_in_a_form(name, framework, form) for name in recorded_runs.NAMES for framework in FRAMEWORKS for form in FORMS],
)
def test_recorded_run_is_reproduced(name: str, framework: str, form: str) -> None:
    recorded = recorded_runs.load(name)
    module = module_for(framework, form, replace(recorded.spec, update_bias=1.0))
    module.load_parameters(recorded.parameters)
    ours = run(
        framework,
        form,
        module,
        recorded.x,
        h_weight=recorded.loss_weight,
        gate_weight=recorded.cost_per_sample,
        traced=True,
    )
    np.testing.assert_array_equal(ours.gates, recorded.state_gate)
    np.testing.assert_allclose(ours.h, recorded.h, rtol=0, atol=2e-6)
    np.testing.assert_allclose(ours.loss, recorded.loss, rtol=1e-5)
    assert_gradients_close(ours.gradients, recorded.gradients, tolerance=5e-5)
