"""Canonical parameters: what is drawn, what is loaded and exported, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls.checks import check_seed
from impls.contract import FRAMEWORKS, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.errors import ParameterError
from impls.parameters import cell_shapes, checksum, initial_parameters, model_shapes
from tests.impls.frameworks import FORMS, build

SPEC = CellSpec(cell="skip_gru", input_size=3, units=(40, 60), layer_norm=True, update_bias=-2.0)


def test_initial_values_are_the_authors() -> None:
    values = initial_parameters(SPEC, seed=1)
    assert {name: value.shape for name, value in values.items()} == cell_shapes(SPEC)
    assert all(value.dtype == np.float32 for value in values.values())
    limit = np.sqrt(6.0 / (43 + 80))  # Glorot uniform over the whole matrix of both gates
    assert 0.95 * limit < np.abs(values["layers.0.gate_weights"]).max() <= limit
    assert (values["layers.0.gate_biases"] == 1).all()
    assert (values["layers.1.candidate_biases"] == 0).all()
    assert (values["layers.1.norm_gains"] == 1).all()
    assert (values["layers.1.norm_biases"] == 0).all()
    assert 0.7 < values["layers.1.initial_h"].std() < 1.3  # N(0, 1)
    assert values["update_gate.biases"].tolist() == [-2.0]
    lstm = initial_parameters(CellSpec(cell="lstm", input_size=3, units=(4,)), seed=1)
    assert (lstm["layers.0.biases"] == 0).all()  # the forget bias is added inside the sigmoid


def test_cell_in_a_model_has_the_values_that_it_has_alone() -> None:
    model = ModelSpec(cell=SPEC, output_size=2, loss="cross_entropy", vocabulary_size=11)
    inside, alone = initial_parameters(model, seed=1), initial_parameters(SPEC, seed=1)
    assert list(inside) == list(model_shapes(model))
    assert checksum({name: inside[name] for name in alone}) == checksum(alone)
    assert checksum(alone) != checksum(initial_parameters(SPEC, seed=2))
    embeddings = inside["embedding.weights"]
    assert 0.2 < np.abs(embeddings).max() <= 0.25
    assert embeddings.min() < -0.2
    assert 0.8 * np.sqrt(6 / 62) < np.abs(inside["readout.weights"]).max() <= np.sqrt(6 / 62)
    assert (inside["readout.biases"] == 0).all()


def test_a_seed_has_64_bits() -> None:
    seeds = (0, 2**32, 2**63, 2**63 + 1, 2**64 - 1)
    assert [check_seed(seed) for seed in seeds] == list(seeds)
    drawn = {checksum(initial_parameters(SPEC, seed=seed)) for seed in seeds}
    assert len(drawn) == len(seeds)


def test_every_parameter_has_numbers_of_its_own() -> None:
    values = initial_parameters(CellSpec(cell="lstm", input_size=4, units=(4, 4)), seed=1)
    for name in ("weights", "initial_c", "initial_h"):
        assert (values[f"layers.0.{name}"] != values[f"layers.1.{name}"]).all()
    assert (values["layers.0.initial_c"] != values["layers.0.initial_h"]).all()


def test_a_checksum_is_over_names_types_shapes_order_and_every_byte() -> None:
    """Pairs of trials, checkpoints and reproductions rest on it."""
    first, second = np.zeros(1000, np.float32), np.zeros(6, np.float32)
    last = first.copy()
    last[-1] = np.nextafter(np.float32(0), np.float32(1))
    others = [
        {"a": last, "b": second},
        {"a": first, "c": second},
        {"b": second, "a": first},
        {"a": first},
        {"a": first, "b": second.astype(np.int32)},
        {"a": first, "b": second.reshape(2, 3)},
        {"a": first.reshape(2, 500)[:, ::-1][::-1], "b": second - 0.0},
    ]
    told = [checksum(arrays) for arrays in ({"a": first, "b": second}, *others)]
    assert len(set(told)) == len(told)
    assert told[0] == checksum({"a": first[::-1].copy()[::-1], "b": second}), "whatever the layout in memory"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("source", "target"), [FRAMEWORKS, FRAMEWORKS[::-1]])
def test_parameters_move_between_the_frameworks_in_one_line(source: str, target: str, form: str) -> None:
    ours, theirs = build(source, form, SPEC, seed=1), build(target, form, SPEC, seed=2)
    theirs.load_parameters(ours.export_parameters())
    for name, value in theirs.export_parameters().items():
        np.testing.assert_array_equal(value, ours.export_parameters()[name])
    assert list(theirs.parameters_by_name()) == list(cell_shapes(SPEC))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_exported_parameters_are_a_copy(framework: str, form: str) -> None:
    module = build(framework, form, SPEC, seed=1)
    module.export_parameters()["update_gate.biases"][:] = 5.0
    assert module.export_parameters()["update_gate.biases"].tolist() == [-2.0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "given_as",
    [np.float64, np.float16, lambda value: np.rint(value).astype(np.int64), lambda value: value.tolist()],
    ids=["wider", "narrower", "whole", "lists"],
)
def test_parameters_are_converted_to_the_types_that_they_have(framework: str, form: str, given_as: Any) -> None:
    module = build(framework, form, SPEC, seed=1)
    given = {name: given_as(value) for name, value in initial_parameters(SPEC, seed=2).items()}
    module.load_parameters(given)
    for name, value in module.export_parameters().items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.asarray(given[name], np.float32))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"update_gate.bias": np.zeros(1)},
            r"no parameter 'update_gate.bias'; did you mean 'update_gate.biases'\?",
        ),
        ({"update_gate.biases": None}, r"needs the parameter 'update_gate.biases' \[1\], which is not given"),
        ({"update_gate.biases": np.zeros(2)}, r"'update_gate.biases' has shape \[2\] where \[1\] is needed"),
        ({"update_gate.biases": np.array(["a"])}, "'update_gate.biases' holds no numbers of one shape"),
        ({"layers.1.norm_gains": [[1.0], [1.0, 2.0]]}, "'layers.1.norm_gains' holds no numbers of one shape"),
        ({"update_gate.biases": [None]}, "'update_gate.biases' holds no numbers of one shape"),
        ({"update_gate.biases": np.array([2j])}, "'update_gate.biases' is complex128 where real numbers are needed"),
        ({"update_gate.biases": np.array([True])}, "'update_gate.biases' is bool where real numbers are needed"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(framework: str, form: str, change: dict, message: str) -> None:
    """And none of the others is taken."""
    module = build(framework, form, SPEC, seed=1)
    before = checksum(module.export_parameters())
    others = {name: 2 * value for name, value in module.export_parameters().items()}
    given = {name: value for name, value in {**others, **change}.items() if value is not None}
    with pytest.raises(ParameterError, match=message):
        module.load_parameters(given)
    assert checksum(module.export_parameters()) == before


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_parameters_that_are_exchanged_are_read_before_they_are_replaced(framework: str, form: str) -> None:
    built = build(framework, form, CellSpec(cell="lstm", input_size=2, units=(3,)))
    before = built.export_parameters()
    c, h = "layers.0.initial_c", "layers.0.initial_h"
    given = dict(built.parameters_by_name())
    built.load_parameters(given | {c: given[h], h: given[c]})
    after = built.export_parameters()
    np.testing.assert_array_equal(after[c], before[h])
    np.testing.assert_array_equal(after[h], before[c])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_arrays_may_lie_in_any_order(framework: str) -> None:
    built = build(framework, FORMS[0], CellSpec(cell="lstm", input_size=2, units=(3,)))
    values = built.export_parameters()
    backwards = {name: np.ascontiguousarray(value[..., ::-1])[..., ::-1] for name, value in values.items()}
    swapped = {name: value.astype(value.dtype.newbyteorder()) for name, value in values.items()}
    fixed = {name: value.copy() for name, value in values.items()}
    for value in fixed.values():
        value.flags.writeable = False
    for given in (backwards, swapped, fixed):
        built.load_parameters({name: np.zeros_like(value) for name, value in values.items()})
        built.load_parameters(given)
        for name, value in built.export_parameters().items():
            np.testing.assert_array_equal(value, values[name])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_state_may_lie_in_any_order(framework: str) -> None:
    spec = ModelSpec(cell=CellSpec(cell="lstm", input_size=2, units=(3,)), output_size=1, loss="mean_squared_error")
    parameters = initial_parameters(spec, seed=1)
    learner = build_learner(framework, model=spec, optimizer=OptimizerSpec(), parameters=parameters, engine="reference")
    inputs = np.random.default_rng(0).standard_normal((4, 5, 2)).astype(np.float32)
    learner.train_step(Batch(inputs=inputs, targets=inputs[:, 0, :1]))
    state = learner.export_state()
    learner.load_state({name: np.zeros_like(value) for name, value in state.items()})
    learner.load_state(
        {name: value if not value.ndim else np.ascontiguousarray(value[::-1])[::-1] for name, value in state.items()}
    )
    for name, value in learner.export_state().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)
