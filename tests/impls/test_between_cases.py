"""What lies between the usual calls: empty batches, other tokens, results changed in place, types that NumPy lacks."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

import impls.pytorch
import impls.tensorflow
from impls.contract import ENGINES, FRAMEWORKS, Array, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.errors import CellError
from impls.kinds import cells
from impls.parameters import initial_parameters
from tests.impls.frameworks import array

LAYERS = {"pytorch": impls.pytorch, "tensorflow": impls.tensorflow}
CLASSES = {"lstm": "LSTM", "gru": "GRU", "skip_lstm": "SkipLSTM", "skip_gru": "SkipGRU"}


def layer(framework: str, cell: str, **options: Any) -> Any:
    return getattr(LAYERS[framework], CLASSES[cell])(4, input_size=2, seed=0, **options)


@pytest.mark.parametrize("cell", ["skip_lstm", "gru"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_empty_batch_is_answered_and_has_a_gradient_of_nothing(framework: str, engine: str, cell: str) -> None:
    empty = np.zeros((0, 5, 2), np.float32)
    made = layer(framework, cell, engine=engine)
    if framework == "pytorch":
        outputs, _ = made(torch.from_numpy(empty))
        outputs.h.sum().backward()
        gradients = [value.grad for value in made.parameters() if value.grad is not None]
    else:
        with tf.GradientTape() as tape:
            outputs, _ = made(empty)
            total = tf.reduce_sum(outputs.h)
        wanted = [value.value for value in made.parameters_by_name().values()]
        gradients = tape.gradient(total, wanted, unconnected_gradients="zero")
    assert (tuple(outputs.h.shape), tuple(outputs.state_gate.shape)) == ((0, 5, 4), (0, 5, 1))
    assert gradients
    assert not any(array(gradient).any() for gradient in gradients)


@pytest.mark.parametrize("cell", cells())
@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_done_to_the_output_in_place_is_not_done_to_the_state(engine: str, cell: str) -> None:
    made = layer("pytorch", cell, engine=engine, every_step=False)
    with torch.no_grad():
        outputs, state = made(torch.ones(2, 3, 2))
        before = [leaf.clone() for leaf in leaves(state)]
        outputs.h.zero_()
    assert all(torch.equal(one, other) for one, other in zip(leaves(state), before, strict=True))


def leaves(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [1, 7, 8, (3, 13)], ids=str)
@pytest.mark.parametrize("cell", cells())
def test_an_infinite_input_is_one_that_saturates(cell: str, units: Any, dtype: torch.dtype) -> None:
    """Gates and candidates are 0 and 1 then, in every engine; nothing is NaN."""
    inputs = torch.randn(2, 6, 3, dtype=dtype, generator=torch.Generator().manual_seed(1))
    inputs[0, 0, 0], inputs[1, 4, 2] = torch.inf, -torch.inf
    found = []
    for engine in ENGINES:
        made = getattr(impls.pytorch, CLASSES[cell])(units, input_size=3, seed=0, engine=engine, dtype=dtype)
        outputs, state = made(inputs)
        outputs.h.sum().backward()
        # The infinite step's own weights have no gradient that is a number.
        of_biases = [value.grad for name, value in made.named_parameters() if name.endswith("biases")]
        found.append([*outputs, *leaves(state), *of_biases])
    for one, other in zip(*found, strict=True):
        if one is not None:
            assert one.isfinite().all()
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_numbers_near_the_largest_come_to_those_of_float64(engine: str, seed: int) -> None:
    """`relu` multiplies what a gate lets through by up to 1e38: a gate that is shut lets nothing through.

    Large terms that cancel leave their rounding, which is a share of the largest and not of what is left.
    """
    inputs = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(seed)) * 1e36
    found = impls.pytorch.LSTM(16, input_size=3, seed=1, activation="relu", engine=engine)(inputs)[0].h.double()
    layer = impls.pytorch.LSTM(16, input_size=3, seed=1, activation="relu", engine="reference").double()
    exact = layer(inputs.double())[0].h
    small = exact.abs() < 1
    assert small.sum() > 100
    torch.testing.assert_close(found[small], exact[small], rtol=1e-6, atol=1e-6)
    assert (found - exact).abs().max() <= 1e-6 * exact.abs().max()


def model(**changes: Any) -> ModelSpec:
    cell = CellSpec(cell="gru", input_size=2, units=(3,))
    return ModelSpec(cell=cell, output_size=3, loss="cross_entropy", vocabulary_size=5, **changes)


@pytest.mark.parametrize(
    ("inputs", "target", "words"),
    [
        ([[1, 5]], 1, "inputs has values from 1 to 5 where there are 5 tokens, from 0"),
        ([[-1, 2]], 1, "inputs has values from -1 to 2 where there are 5 tokens, from 0"),
        ([[1, 2]], 3, "targets has values from 3 to 3 where there are 3 classes, from 0"),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tokens_and_classes_that_there_are_not_are_refused(
    framework: str, inputs: list[list[int]], target: int, words: str
) -> None:
    spec = model()
    learner = build_learner(
        framework, model=spec, optimizer=OptimizerSpec(), parameters=initial_parameters(spec, seed=0)
    )
    batch = Batch(inputs=np.array(inputs, np.int32), targets=np.array([target], np.int32))
    for step in (learner.train_step, learner.evaluate):
        with pytest.raises(CellError, match=words):
            step(batch)


def regression(**changes: Any) -> ModelSpec:
    cell = CellSpec(cell="gru", input_size=2, units=(3,))
    return ModelSpec(**{"cell": cell, "output_size": 1, "loss": "mean_squared_error"} | changes)


@pytest.mark.parametrize(
    ("spec", "targets", "words"),
    [
        (regression(), np.zeros(4, np.float32), "targets have shape [4] where [4, 1] is needed"),
        (regression(output_size=5), np.zeros((4, 1), np.float32), "targets have shape [4, 1] where [4, 5] is needed"),
        (
            regression(readout="every", loss="binary_cross_entropy"),
            np.zeros((4, 1), np.float32),
            "targets have shape [4, 1] where [4, 6, 1] is needed",
        ),
        (regression(loss="cross_entropy"), np.zeros((4, 1), np.int32), "targets have shape [4, 1] where [4] is needed"),
        (regression(loss="cross_entropy"), np.full(4, 0.5, np.float32), "targets are float32 where whole numbers"),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_targets_that_the_loss_does_not_read_are_refused(
    framework: str, spec: ModelSpec, targets: Array, words: str
) -> None:
    """Broadcast, each output would be compared with every sequence's target."""
    learner = build_learner(
        framework, model=spec, optimizer=OptimizerSpec(), parameters=initial_parameters(spec, seed=0)
    )
    batch = Batch(inputs=np.zeros((4, 6, 2), np.float32), targets=targets)
    for step in (learner.train_step, learner.evaluate):
        with pytest.raises(CellError, match=re.escape(words)):
            step(batch)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "mse"}, "loss='mse' is not one of mean_squared_error, cross_entropy, binary_cross_entropy"),
        ({"readout": "all"}, "readout='all' is not one of last, every"),
        ({"budget": "l3"}, "budget='l3' is not one of cost_per_sample, l1, l2"),
        (
            {"loss": "cross_entropy", "readout": "every"},
            "loss='cross_entropy' with readout='every': a class is of a whole sequence; use readout='last'",
        ),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_with_a_word_that_means_nothing_is_refused(framework: str, changes: dict[str, str], words: str) -> None:
    with pytest.raises(CellError, match=re.escape(words)):
        build_learner(
            framework,
            model=regression(**changes),
            optimizer=OptimizerSpec(),
            parameters=initial_parameters(regression(), seed=0),
        )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_batch_may_be_a_view_that_runs_backwards(framework: str) -> None:
    spec = regression()
    learner = build_learner(
        framework, model=spec, optimizer=OptimizerSpec(), parameters=initial_parameters(spec, seed=0)
    )
    inputs = np.random.default_rng(0).standard_normal((4, 6, 2))[:, ::-1]
    targets = np.zeros((4, 1), np.float32)
    of_view, of_copy = (learner.evaluate(Batch(inputs=each, targets=targets)) for each in (inputs, inputs.copy()))
    np.testing.assert_array_equal(of_view.predictions, of_copy.predictions)


# TensorFlow's fast engine gives every parameter a gradient, zero or not, and compiles for long.
@pytest.mark.parametrize(
    "engines",
    [
        {"pytorch": ENGINES, "tensorflow": ["reference"]},
        pytest.param({"pytorch": ["fast"], "tensorflow": ["fast"]}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_parameter_without_a_gradient_counts_its_steps(engines: dict[str, list[str]]) -> None:
    """After a single step the gate's parameters lead to nothing, and frameworks give them no gradient at all."""
    spec = ModelSpec(
        cell=CellSpec(cell="skip_lstm", input_size=2, units=(4,)),
        output_size=1,
        loss="mean_squared_error",
        budget_cost=0.01,
        dtype="float64",
    )
    learners = [
        build_learner(
            framework,
            model=spec,
            optimizer=OptimizerSpec(learning_rate=0.01),
            parameters=initial_parameters(spec, seed=0),
            engine=engine,
        )
        for framework in FRAMEWORKS
        for engine in engines[framework]
    ]
    draw = np.random.default_rng(0)
    for steps in (1, 6, 6):
        batch = Batch(
            inputs=draw.standard_normal((3, steps, 2)).astype(np.float32),
            targets=draw.standard_normal((3, 1)).astype(np.float32),
        )
        for learner in learners:
            learner.train_step(batch)
    expected, *others = (learner.export_parameters() for learner in learners)
    for found in others:
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_bfloat16_moves_between_the_frameworks() -> None:
    narrow = {framework: layer(framework, "skip_lstm", dtype="bfloat16") for framework in FRAMEWORKS}
    exported = narrow["pytorch"].export_parameters()
    assert {value.dtype.name for value in exported.values()} == {"float32"}
    narrow["tensorflow"].load_parameters(exported)
    wide = layer("pytorch", "skip_lstm")
    wide.load_parameters(narrow["tensorflow"].export_parameters())
    for name, value in wide.export_parameters().items():
        np.testing.assert_array_equal(value, exported[name], err_msg=name)


@pytest.mark.parametrize("name", ["SkipLSTM", "SkipLSTMCell"])
def test_parameters_that_are_not_there_yet_are_refused_by_name(name: str) -> None:
    unbuilt = getattr(impls.tensorflow, name)(4, seed=0)
    built = getattr(impls.tensorflow, name)(4, seed=0, input_size=2)
    for ask in (unbuilt.export_parameters, lambda: unbuilt.load_parameters(built.export_parameters())):
        with pytest.raises(CellError, match=f"{name} has no parameters yet, since it does not know its input_size"):
            ask()


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.int32])
def test_lengths_of_any_whole_type_are_compared(kind: torch.dtype) -> None:
    outputs, _ = layer("pytorch", "lstm")(torch.ones(2, 3, 2), lengths=torch.tensor([1, 3]).to(kind))
    assert outputs.state_gate.sum(1).flatten().tolist() == [1, 3]


def test_lengths_beyond_a_narrow_type_are_not_taken_for_others() -> None:
    with pytest.raises(CellError, match="lengths has values outside of 0 to 3"):
        layer("tensorflow", "lstm")(tf.ones([1, 3, 2]), lengths=tf.constant([2**32 + 3], tf.int64))


WRONG: dict[str, dict[str, Any]] = {
    "updates": {"updates": [[1.0, 0.4, 1.0]]},
    "too long": {"lengths": [9]},
    "negative": {"lengths": [-3]},
    "padded in front": {"mask": [[False, True, True]]},
}


@pytest.mark.covering
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_that_xla_compiles_is_answered_with_nan(name: str, engine: str) -> None:
    """XLA drops assertions, and Keras compiles with it unasked where there is a GPU."""
    made = layer("tensorflow", "lstm", engine=engine)
    call = tf.function(lambda given: made(tf.ones([1, 3, 2]), **given), jit_compile=True, autograph=False)
    given = {key: tf.constant(value) for key, value in WRONG[name].items()}
    outputs, state = call(given)
    for value in (outputs.h, outputs.state_gate, *tf.nest.flatten(state)):
        assert np.isnan(value).all()
    right = {"updates": [[1.0, 0.0, 1.0]], "lengths": [2], "mask": [[True, True, False]]}
    outputs, _ = call({key: tf.constant(right[key]) for key in WRONG[name]})
    assert np.isfinite(outputs.h).all()
