"""What a learner is given: refused in the same words by both frameworks, or read as the same numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from impls.checks import check_batch
from impls.contract import ENGINES, FRAMEWORKS, Array, Batch, CellSpec, Learner, ModelSpec, OptimizerSpec, build_learner
from impls.errors import CellError
from impls.parameters import initial_parameters

SIZE, TIME = 3, 4
DRAW = np.random.default_rng(0)
INPUTS = DRAW.standard_normal((SIZE, TIME, 2)).astype(np.float32)
TOKENS = np.array([[1, 2, 3, 4], [0, 1, 2, 3], [4, 4, 0, 0]], np.int32)
TARGETS = DRAW.standard_normal((SIZE, 1)).astype(np.float32)
CLASSES = np.array([1, 2, 0], np.int32)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], np.float32)
WHOLE = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def model(cell: str = "lstm", **changes: Any) -> ModelSpec:
    spec = CellSpec(cell=cell, input_size=2, units=(3,))
    return ModelSpec(**{"cell": spec, "output_size": 1, "loss": "mean_squared_error"} | changes)


def learner_of(framework: str, spec: ModelSpec, *, engine: str = "reference") -> Learner:
    parameters = initial_parameters(spec, seed=0)
    return build_learner(framework, model=spec, optimizer=OptimizerSpec(), parameters=parameters, engine=engine)


def batch(**arrays: Any) -> Batch:
    return Batch(**{"inputs": INPUTS, "targets": TARGETS} | arrays)


def masked(*rows: list[float]) -> Array:
    return np.array(rows, np.float32)


PADDED_IN_FRONT = "mask has a masked step before one that is not: pad sequences at the end"
REFUSED: dict[str, tuple[ModelSpec, dict[str, Any], str]] = {
    "a mask of padding in front": (
        model(),
        {"mask": masked([0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1])},
        PADDED_IN_FRONT,
    ),
    "a mask with a hole": (model(), {"mask": masked([1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 1, 1])}, PADDED_IN_FRONT),
    "truths with a hole": (model(), {"mask": masked([1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 0]) > 0}, PADDED_IN_FRONT),
    "a mask of sequences": (model(), {"mask": MASK[:, :1]}, "mask has shape [3, 1] where [3, 4] is needed"),
    "a mask of features": (model(), {"mask": MASK[..., None]}, "mask has shape [3, 4, 1] where [3, 4] is needed"),
    "half a mask": (model(), {"mask": MASK / 2}, "mask has values other than 0 and 1"),
    "a mask of counts": (model(), {"mask": MASK.astype(np.int32) * 2}, "mask has values other than 0 and 1"),
    "a negative mask": (model(), {"mask": -MASK}, "mask has values other than 0 and 1"),
    "a mask of NaN": (model(), {"mask": np.where(MASK > 0, MASK, np.nan)}, "mask has values other than 0 and 1"),
    "half an update": (model(), {"updates": MASK / 2}, "updates has values other than 0 and 1"),
    "updates of sequences": (model(), {"updates": MASK[:, :1]}, "updates has shape [3, 1] where [3, 4] is needed"),
    "updates of a skip cell": (
        model("skip_lstm"),
        {"updates": MASK},
        "updates is the random skip's gate, for plain cells; a skip cell decides for itself",
    ),
    "noise of a gate that is not random": (
        model("skip_lstm"),
        {"gate_noise": MASK},
        "gate_noise is read only by a skip cell with gate='bernoulli'",
    ),
    "a random gate without its noise": (
        replace(model(), cell=CellSpec(cell="skip_lstm", input_size=2, units=(3,), gate="bernoulli")),
        {},
        "gate='bernoulli' of a learner reads gate_noise, which the batch has not",
    ),
    "dropout at every step": (
        model(readout="every"),
        {"targets": np.ones((SIZE, TIME, 1)), "dropout": np.ones((SIZE, TIME, 3))},
        "dropout has shape [3, 4, 3] where [3, 3] is needed",
    ),
    "dropout of units": (model(), {"dropout": np.ones(3)}, "dropout has shape [3] where [3, 3] is needed"),
    "other features": (model(), {"inputs": INPUTS[:, :, :1]}, "inputs have 1 features where the cell was built for 2"),
    "no features": (model(), {"inputs": INPUTS[:, :, 0]}, "inputs have shape [3, 4] where [batch, time, 2] is needed"),
    "no steps": (model(), {"inputs": INPUTS[:, :0]}, "inputs have no time steps (T = 0)"),
    "tokens with features": (
        model(vocabulary_size=5),
        {"inputs": TOKENS[..., None]},
        "inputs have shape [3, 4, 1] where [batch, time], of tokens, is needed",
    ),
    "no tokens": (model(vocabulary_size=5), {"inputs": TOKENS[:, :0]}, "inputs have no time steps (T = 0)"),
    "fractions for tokens": (
        model(vocabulary_size=5),
        {"inputs": TOKENS.astype(np.float32)},
        "inputs are float32 where whole numbers, the tokens, are needed",
    ),
    "a token that an int32 cannot hold": (
        model(vocabulary_size=5),
        {"inputs": TOKENS + np.int64(2**32)},
        "inputs has values from 4294967296 to 4294967300 where there are 5 tokens, from 0",
    ),
    "truths for classes": (
        model(loss="cross_entropy", output_size=3),
        {"targets": CLASSES > 0},
        "targets are bool where whole numbers, the classes, are needed",
    ),
    "complex inputs": (model(), {"inputs": INPUTS * 1j}, "inputs has type complex64 where numbers are needed"),
    "objects": (model(), {"targets": TARGETS.astype(object)}, "targets has type object where numbers are needed"),
    "times": (
        model(),
        {"targets": TARGETS.astype("m8[s]")},
        "targets has type timedelta64[s] where numbers are needed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_batch_of_the_model_is_refused(name: str) -> None:
    spec, arrays, words = REFUSED[name]
    with pytest.raises(CellError, match=f"^{re.escape(words)}$"):
        check_batch(spec, batch(**arrays))


MISSPELT: dict[str, tuple[dict[str, Any], str]] = {
    "another gate": ({"gate": "bernouli"}, "gate='bernouli' is not one of"),
    "another activation": ({"activation": "Tanh"}, "activation='Tanh' is not one of"),
    "another initial state": ({"initial_state": "zero"}, "initial_state='zero' is not one of"),
    "a flag in words": ({"layer_norm": "no"}, "layer_norm"),
    "a layer above the top": ({"gate_layer": 1}, "gate_layer=1: the stack has layers 0 to 0 (or -1, the top)"),
    "another precision": ({"precision": "float16"}, "precision='float16' is not one of"),
}


@pytest.mark.parametrize("name", MISSPELT)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_learner_is_built_of_no_cell_that_means_nothing(framework: str, name: str) -> None:
    changes, words = MISSPELT[name]
    right = model("skip_lstm")
    parameters = initial_parameters(right, seed=0)
    spec = replace(right, cell=replace(right.cell, **changes))
    with pytest.raises(CellError, match=f"^{re.escape(words)}"):
        build_learner(framework, model=spec, optimizer=OptimizerSpec(), parameters=parameters, engine="reference")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_learner_trains_in_no_half_type(framework: str, dtype: str) -> None:
    parameters = initial_parameters(model(), seed=0)
    with pytest.raises(CellError, match=f"^dtype='{dtype}' is not one of float32, float64"):
        build_learner(framework, model=model(dtype=dtype), optimizer=OptimizerSpec(), parameters=parameters)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_refused_batch_leaves_the_learner_as_it_was(framework: str) -> None:
    learner = learner_of(framework, model())
    before = learner.export_state()
    for step in (learner.train_step, learner.evaluate):
        with pytest.raises(CellError, match=f"^{PADDED_IN_FRONT}$"):
            step(batch(mask=MASK[:, ::-1]))
    after = learner.export_state()
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


GIVEN: dict[str, tuple[ModelSpec, dict[str, Any], str, tuple[str, ...]]] = {
    "tokens": (model(vocabulary_size=5), {"inputs": TOKENS}, "inputs", WHOLE),
    "classes": (model(loss="cross_entropy", output_size=3), {"targets": CLASSES}, "targets", WHOLE),
    "targets": (model(), {"targets": masked([1], [0], [1])}, "targets", ("bool", *WHOLE, "float16", "float64")),
    "truths": (
        model(loss="binary_cross_entropy"),
        {"targets": masked([1], [0], [1])},
        "targets",
        ("bool", *WHOLE, "float16", "float64", "longdouble", ">f4"),
    ),
    "a mask": (
        model(readout="every", loss="binary_cross_entropy"),
        {"targets": MASK[..., None], "mask": MASK},
        "mask",
        ("bool", *WHOLE, "float16", "float64"),
    ),
    "inputs": (
        model(),
        {"inputs": (INPUTS > 0).astype(np.float32)},
        "inputs",
        ("bool", *WHOLE, "float16", "float64", ">f4"),
    ),
    "updates": (model(), {"updates": MASK}, "updates", ("bool", "uint8", "int64", "float64")),
}


@pytest.mark.covering  # what converts them knows no framework
@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_numbers_are_the_same_in_every_type(framework: str, name: str) -> None:
    """No bit hangs on the type that a task has its numbers in."""
    spec, arrays, field, types = GIVEN[name]
    learner = learner_of(framework, spec)
    wanted = learner.evaluate(batch(**arrays))
    for kind in types:
        found = learner.evaluate(batch(**arrays | {field: arrays[field].astype(kind)}))
        assert found.loss == wanted.loss, kind
        np.testing.assert_array_equal(found.predictions, wanted.predictions, err_msg=kind)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_what_is_computed_with_is_floating_and_what_is_looked_up_is_whole(dtype: str) -> None:
    """Whole numbers are exact where the model's are; floats of either width are the learner's to round."""
    large = np.array([[2**24 + 1]] * SIZE)
    exact = dtype == "float64"
    arrays = check_batch(model(dtype=dtype), batch(targets=large, mask=MASK > 0))
    assert {name: array.dtype for name, array in arrays.items()} == {
        "inputs": np.float32,
        "targets": np.float64 if exact else np.float32,
        "mask": np.float64 if exact else np.float32,
    }
    assert arrays["targets"][0, 0] == 2**24 + exact
    assert check_batch(model(dtype=dtype), batch(targets=TARGETS.astype(np.float64)))["targets"].dtype == np.float64
    spec = model(vocabulary_size=5, loss="cross_entropy", output_size=3, dtype=dtype)
    arrays = check_batch(spec, batch(inputs=TOKENS.astype(np.uint64), targets=CLASSES.astype(np.int8)))
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}


def test_a_batch_that_is_as_the_contract_says_is_not_copied() -> None:
    given = batch(mask=MASK)
    for name, array in check_batch(model(), given).items():
        assert array is getattr(given, name)


def test_arrays_may_lie_in_memory_as_they_like() -> None:
    """PyTorch takes neither negative strides nor another machine's byte order."""
    for array in (INPUTS[::-1], INPUTS.transpose(1, 0, 2).copy().transpose(1, 0, 2), INPUTS.astype(">f4")):
        found = check_batch(model(), batch(inputs=array))["inputs"]
        np.testing.assert_array_equal(found, array)
        assert found.flags.c_contiguous
        assert found.dtype.isnative


def padding(spec: ModelSpec) -> Batch:
    steps = (TIME,) if spec.readout == "every" else ()
    return batch(targets=np.ones((SIZE, *steps, 1), np.float32), mask=np.zeros((SIZE, TIME), np.float32))


# TensorFlow compiles each for seconds; `test_losses.py` holds its loss, the test below its forward pass.
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_batch_of_padding_alone_has_nothing_to_teach_at_its_steps(framework: str, engine: str) -> None:
    spec = model("skip_lstm", readout="every", budget_cost=0.1)
    learner = learner_of(framework, spec, engine=engine)
    before = learner.export_parameters()
    result = learner.train_step(padding(spec))
    assert (result.loss, result.budget_loss, result.updates) == (0, 0, 0)
    for name, value in learner.export_parameters().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_sequence_of_padding_alone_is_judged_by_its_initial_state(framework: str) -> None:
    spec = model("skip_lstm")
    evaluation = learner_of(framework, spec).evaluate(padding(spec))
    (initial,) = {float(value) for value in evaluation.predictions[:, 0]}
    assert evaluation.loss == pytest.approx((initial - 1.0) ** 2)
    assert not evaluation.gates.any()
