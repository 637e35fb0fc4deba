"""The native engine: the framework's own layer on canonical parameters, against the equations; and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from impls import reference
from impls.contract import NATIVE_KINDS, CellSpec, Learner, ModelSpec, OptimizerSpec, build_learner
from impls.errors import CellError
from impls.parameters import initial_parameters, model_shapes
from tests.impls.engines import assert_agree, random_case, run_engine
from tests.impls.frameworks import build
from tests.impls.test_learner import CASES, make_batch

EVERY = [(framework, kind) for framework, kinds in NATIVE_KINDS.items() for kind in kinds]
OF_LAYERS: dict[str, dict[str, Any]] = {
    "one layer": {"units": (5,)},
    "equal layers": {"units": (4, 4), "forget_bias": 0.3},
    "unequal layers": {"units": (5, 3), "forget_bias": -1.5},
}


def spec_of(kind: str, **fields: Any) -> CellSpec:
    if kind != "lstm":
        fields.pop("forget_bias", None)
    return CellSpec(cell=kind, input_size=3, **fields)


# TensorFlow traces and compiles each: there all pairs, elsewhere the product; equal layers are PyTorch's own case.
OF_LENGTHS = [
    pytest.param(
        *(framework, kind, name, lengths),
        marks=pytest.mark.slow if (framework, name) == ("tensorflow", "equal layers") else (),
    )
    for framework, kind in EVERY
    for number, name in enumerate(OF_LAYERS)
    for lengths in (False, True)
    if framework == "pytorch" or lengths == ((number + (kind == "gru")) % 2 == 0)
]


@pytest.mark.parametrize(("framework", "kind", "name", "lengths"), OF_LENGTHS)
def test_the_layer_is_the_equations(framework: str, kind: str, name: str, lengths: bool) -> None:
    """Outputs, the state where each sequence ends (one of no step too), and every gradient, from any initial state."""
    case = random_case(spec_of(kind, **OF_LAYERS[name]), batch=5, time=7, seed=1, lengths=lengths)
    assert_agree(run_engine(framework, "native", case), run_engine("pytorch", "reference", case))


@pytest.mark.parametrize(("framework", "kind"), EVERY)
def test_the_last_step_alone(framework: str, kind: str) -> None:
    case = random_case(spec_of(kind, units=(4, 4)), batch=4, time=6, seed=2, lengths=True, every_step=False)
    case.inputs[np.arange(6) >= np.asarray(case.lengths)[:, None]] = np.nan  # what pads is not read
    assert_agree(run_engine(framework, "native", case), run_engine("pytorch", "reference", case))


@pytest.mark.parametrize(("framework", "kind"), EVERY)
def test_the_layer_is_the_oracle(framework: str, kind: str) -> None:
    spec = spec_of(kind, units=(5,), initial_state="zeros", forget_bias=0.7)
    case = random_case(spec, batch=4, time=9, seed=3)
    case = replace(case, state=[np.zeros_like(leaf) for leaf in case.state])
    expected = reference.unroll(spec, case.parameters, case.inputs)
    np.testing.assert_allclose(run_engine(framework, "native", case).h, expected.h, rtol=0, atol=1e-12)


PLAIN = "random skip, regression"
LEARNED: dict[str, ModelSpec] = {
    "last step": replace(CASES[PLAIN], dtype="float64"),
    "every step of a stack, mask": ModelSpec(
        cell=CellSpec(cell="lstm", input_size=3, units=(4, 3), forget_bias=0.5),
        output_size=3,
        loss="binary_cross_entropy",
        readout="every",
        dtype="float64",
    ),
}


def batches(name: str) -> list[Any]:
    of = PLAIN if name == "last step" else "stack, Bernoulli gate, every step, mask"
    return [replace(make_batch(of, step), updates=None, gate_noise=None) for step in range(6)]


def learner_of(framework: str, engine: str, spec: ModelSpec) -> Learner:
    return build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(learning_rate=1e-2, clip_norm=0.1),
        parameters=initial_parameters(spec, seed=3),
        engine=engine,
    )


@pytest.mark.covering
@pytest.mark.parametrize(
    ("framework", "kind", "name"),
    [
        *(("pytorch", kind, name) for kind in NATIVE_KINDS["pytorch"] for name in LEARNED),
        pytest.param("tensorflow", "lstm", "every step of a stack, mask", marks=pytest.mark.slow),  # compiles for long
        ("tensorflow", "gru", "last step"),
    ],
)
def test_it_trains_as_the_reference_does(framework: str, kind: str, name: str) -> None:
    """Canonical parameters go in and come out; steps, evaluations and the state are those of the equations."""
    spec = LEARNED[name]
    spec = replace(spec, cell=replace(spec.cell, cell=kind))
    native, expected = learner_of(framework, "native", spec), learner_of("pytorch", "reference", spec)
    assert native.implementation == "native"
    initial = initial_parameters(spec, seed=3)
    exported = native.export_parameters()
    assert {key: value.shape for key, value in exported.items()} == model_shapes(spec)
    for key, value in exported.items():
        np.testing.assert_array_equal(value, initial[key])
    first, last = batches(name)[:-1], batches(name)[-1]
    for batch in first:
        ours, theirs = native.train_step(batch), expected.train_step(batch)
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-12)
        assert ours.updates == theirs.updates
    for key, value in native.export_state().items():
        np.testing.assert_allclose(value, expected.export_state()[key], rtol=1e-9, atol=1e-12, err_msg=key)
    again = learner_of(framework, "native", spec)
    again.load_state(native.export_state())
    one, other = native.evaluate(last), expected.evaluate(last)
    np.testing.assert_allclose(one.predictions, other.predictions, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(one.gates, other.gates)
    assert native.train_step(last) == again.train_step(last)


REFUSED = [
    ({"cell": "skip_lstm"}, "cell 'skip_lstm': a framework's own layer does not skip"),
    ({"layer_norm": True}, "layer_norm"),
    ({"activation": "relu"}, "activation 'relu': it is tanh"),
    ({"precision": "bfloat16"}, "precision 'bfloat16': the layer would round its state too"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
@pytest.mark.parametrize("framework", NATIVE_KINDS)
def test_what_the_layer_does_not_compute_is_refused(framework: str, fields: dict[str, Any], message: str) -> None:
    case = random_case(replace(CellSpec(cell="lstm", input_size=3, units=(4,)), **fields), batch=2, time=3)
    with pytest.raises(CellError, match=rf"engine='native' has no {message}.*; use engine='fast' or 'reference'"):
        run_engine(framework, "native", case)


@pytest.mark.parametrize("framework", NATIVE_KINDS)
def test_random_skips_are_refused(framework: str) -> None:
    case = random_case(CellSpec(cell="lstm", input_size=3, units=(4,)), batch=2, time=3, updates=0.5)
    with pytest.raises(CellError, match="no random or periodic skips"):
        run_engine(framework, "native", case)


def test_torchs_gru_is_refused_by_its_equations() -> None:
    case = random_case(CellSpec(cell="gru", input_size=3, units=(4,)), batch=2, time=3)
    with pytest.raises(CellError, match=r"torch.nn.GRU resets after the product"):
        run_engine("pytorch", "native", case)


@pytest.mark.parametrize("framework", NATIVE_KINDS)
def test_public_layers_do_not_take_it(framework: str) -> None:
    with pytest.raises(CellError, match="engine='native' is not one of reference, fast"):
        build(framework, "layer", CellSpec(cell="lstm", input_size=3, units=(4,)), engine="native")


@pytest.mark.gpu
@pytest.mark.parametrize("lengths", [False, True], ids=["", "lengths"])
@pytest.mark.parametrize("framework", NATIVE_KINDS)
def test_on_a_gpu_it_is_cudnns(framework: str, lengths: bool, cuda: None, recwarn: pytest.WarningsRecorder) -> None:
    """Trained in float32 beside the reference; PyTorch finds the weights in one piece, or would warn."""
    spec = replace(LEARNED["every step of a stack, mask"], dtype="float32")
    spec = replace(spec, cell=replace(spec.cell, units=(4, 4)))
    learners = [
        build_learner(
            framework,
            model=spec,
            optimizer=OptimizerSpec(learning_rate=1e-2),
            parameters=initial_parameters(spec, seed=3),
            engine=engine,
            device="cuda",
        )
        for engine in ("native", "reference")
    ]
    for batch in batches("every step of a stack, mask"):
        for learner in learners:
            learner.train_step(batch if lengths else replace(batch, mask=None))
    ours, theirs = (learner.export_parameters() for learner in learners)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], atol=1e-5, err_msg=key)
    assert [str(warning.message) for warning in recwarn if "contiguous" in str(warning.message)] == []
