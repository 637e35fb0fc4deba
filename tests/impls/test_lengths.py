"""Sequences of different lengths in one batch: the layers against the same sequences run one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls.contract import ENGINES, FRAMEWORKS, Array, CellSpec
from impls.errors import CellError
from impls.kinds import cells
from tests.impls.frameworks import array, assert_gradients_close, build, parameters_for, run, tensor
from tests.impls.test_refusals import refusal

BY_FRAMEWORK = [(framework, engine) for framework in FRAMEWORKS for engine in ENGINES]
BATCH, TIME = 5, 7


def layer_of(framework: str, engine: str, cell: str, units: tuple[int, ...], seed: int, **options: Any) -> Any:
    spec = CellSpec(cell=cell, input_size=3, units=units, update_bias=-0.5, layer_norm=seed % 2 == 0)
    layer = build(framework, "layer", spec, engine=engine, dtype="float64", **options)
    layer.load_parameters(parameters_for(spec, seed=seed, scale=3.0))
    return layer


def drawn(seed: int) -> tuple[Array, Array, Array]:
    """Inputs with NaN where there is nothing to read, lengths with 0 and all among them, weights for every h."""
    generator = np.random.default_rng(seed)
    lengths = generator.permutation([0, TIME, *generator.integers(1, TIME, BATCH - 2)])
    x = generator.normal(size=(BATCH, TIME, 3))
    x[np.arange(TIME) >= lengths[:, None]] = np.nan
    return x, lengths, generator.normal(size=(BATCH, TIME, 4))


# By a seed without layer norm and one with it. What XLA compiles is held to the reference in
# `test_lengths_tensorflow.py`: here each cell once, and one of them in `make test`.
ONE_BY_ONE: list[Any] = [
    *(
        (framework, engine, cell, units, (1, 2))
        for framework, engine in BY_FRAMEWORK
        if (framework, engine) != ("tensorflow", "fast")
        for cell in cells()
        for units in [(4,), (3, 4)]
    ),
    ("tensorflow", "fast", "skip_gru", (4,), (1,)),
    pytest.param("tensorflow", "fast", "lstm", (4,), (1,), marks=pytest.mark.slow),
    pytest.param("tensorflow", "fast", "gru", (3, 4), (2,), marks=pytest.mark.slow),
    pytest.param("tensorflow", "fast", "skip_lstm", (3, 4), (2,), marks=pytest.mark.slow),
]


@pytest.mark.covering("framework, engine, units", "cell")
@pytest.mark.parametrize(("framework", "engine", "cell", "units", "with_seeds"), ONE_BY_ONE)
def test_a_batch_is_its_sequences_one_by_one(
    framework: str, engine: str, cell: str, units: tuple[int, ...], with_seeds: tuple[int, ...]
) -> None:
    for seed in with_seeds:
        layer = layer_of(framework, engine, cell, units, seed)
        # Alone by the reference: XLA would compile each length anew.
        single = layer_of(framework, "reference", cell, units, seed)
        single.load_parameters(layer.export_parameters())
        x, lengths, weights = drawn(seed)
        together = run(framework, "layer", layer, x, h_weight=weights, gate_weight=1.0, lengths=lengths)
        gradients = {name: np.zeros_like(value) for name, value in together.gradients.items()}
        for b, length in enumerate(lengths):
            if length == 0:  # h is the initial one, repeated
                initial = layer.export_parameters()[f"layers.{len(units) - 1}.initial_h"][0]
                np.testing.assert_array_equal(together.h[b], np.tile(initial, (TIME, 1)))
                np.testing.assert_array_equal(together.gates[b], 0)
                gradients[f"layers.{len(units) - 1}.initial_h"] += weights[b].sum(axis=0)
                continue
            of_h = weights[b : b + 1, :length].copy()
            of_h[:, -1] += weights[b, length:].sum(axis=0)
            alone = run(framework, "layer", single, x[b : b + 1, :length], h_weight=of_h, gate_weight=1.0)
            np.testing.assert_allclose(together.h[b, :length], alone.h[0], rtol=0, atol=1e-12)
            np.testing.assert_array_equal(
                together.h[b, length:], np.tile(together.h[b, length - 1], (TIME - length, 1))
            )
            np.testing.assert_array_equal(together.gates[b, :length], alone.gates[0])
            np.testing.assert_array_equal(together.gates[b, length:], 0)
            for ours, theirs in zip(together.state, alone.state, strict=True):
                np.testing.assert_allclose(ours[b], theirs[0], rtol=0, atol=1e-12)
            for name, value in alone.gradients.items():
                if name == "x":
                    gradients["x"][b, :length] = value[0]
                else:
                    gradients[name] += value
        assert_gradients_close(
            together.gradients, {name: value / BATCH for name, value in gradients.items()}, tolerance=1e-9
        )


@pytest.mark.parametrize(("framework", "engine"), BY_FRAMEWORK)
@pytest.mark.parametrize("kind", ["draws", "last step"])
def test_draws_and_the_last_step_keep_to_the_lengths(kind: str, framework: str, engine: str) -> None:
    generator = np.random.default_rng(3)
    x, lengths, _ = drawn(3)
    last = {"every_step": False} if framework == "pytorch" else {"return_sequences": False}
    if kind == "draws":
        layer = layer_of(framework, engine, "lstm", (4,), 1)
        updates = generator.integers(0, 2, (BATCH, TIME)).astype(float)
        outputs, _ = layer(tensor(framework, x), **given(framework, lengths, updates=updates))
        real = np.arange(TIME) < lengths[:, None]
        np.testing.assert_array_equal(array(outputs.state_gate)[..., 0], updates * real)
        return
    whole = layer_of(framework, engine, "skip_gru", (4,), 1)
    ending = layer_of(framework, engine, "skip_gru", (4,), 1, **last)
    outputs, _ = whole(tensor(framework, x), **given(framework, lengths))
    found = ending(tensor(framework, x), **given(framework, lengths))
    h = found[0].h if framework == "pytorch" else found
    np.testing.assert_array_equal(array(h), array(outputs.h)[:, -1])


def given(framework: str, lengths: Array, **draws: Array) -> dict[str, Any]:
    return {name: tensor(framework, value) for name, value in {"lengths": lengths, **draws}.items()}


MISTAKES = {
    "fractions": (np.array([1.0, 2.0]), "lengths must be whole numbers, got float64"),
    "truths": (np.array([True, False]), "lengths must be whole numbers, got bool"),
    "another batch": (np.array([1, 2, 3]), "lengths has shape [3] where [2] is needed"),
    "rank": (np.array([[1], [2]]), "lengths has shape [2, 1] where [2] is needed"),
    "too long": (np.array([1, 8]), "lengths has values outside of 0 to 7"),
    "negative": (np.array([-1, 7]), "lengths has values outside of 0 to 7"),
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_lengths_that_no_sequence_has_are_refused(mistake: str, framework: str) -> None:
    lengths, message = MISTAKES[mistake]
    layer = layer_of(framework, "reference", "skip_gru", (4,), 1)
    x = tensor(framework, np.zeros((2, 7, 3)))
    assert refusal(lambda: layer(x, lengths=tensor(framework, lengths))) == message


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("kind", ["int64", "int32", "uint8"])
def test_lengths_may_be_of_any_whole_type(kind: str, framework: str) -> None:
    layer = layer_of(framework, "reference", "skip_gru", (4,), 1)
    x = tensor(framework, np.random.default_rng(1).normal(size=(2, 7, 3)))
    alone, _ = layer(x[:1, :2])
    outputs, _ = layer(x, lengths=tensor(framework, np.array([2, 7]).astype(kind)))
    np.testing.assert_allclose(array(outputs.h)[0, 2:], np.tile(array(alone.h)[0, 1], (5, 1)), rtol=0, atol=1e-12)


def test_traced_functions_assert_lengths() -> None:
    tf = pytest.importorskip("tensorflow")
    layer = layer_of("tensorflow", "reference", "skip_gru", (4,), 1)
    signature = [tf.TensorSpec([None, None, 3], tf.float64), tf.TensorSpec([None], tf.int64)]
    traced = tf.function(lambda x, lengths: layer(x, lengths=lengths)[0].h, input_signature=signature)
    x = np.zeros((2, 7, 3))
    assert traced(x, np.array([0, 7])).shape == (2, 7, 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="lengths has values outside of 0 to the number of steps"):
        traced(x, np.array([0, 8]))


def test_compiled_and_exported_layers_assert_lengths() -> None:
    torch = pytest.importorskip("torch")
    layer = layer_of("pytorch", "reference", "skip_gru", (4,), 1)
    x, lengths = torch.zeros(2, 3, 3, dtype=torch.float64), torch.tensor([0, 3])
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    exported = torch.export.export(layer, (x,), {"lengths": lengths}).module()
    for module in (compiled, exported):
        torch.testing.assert_close(module(x, lengths=lengths)[0].h, layer(x, lengths=lengths)[0].h)
        with pytest.raises(RuntimeError, match="lengths has values outside of 0 to 3"):
            module(x, lengths=torch.tensor([0, 4]))


def test_lengths_and_a_mask_are_one_thing() -> None:
    layer = layer_of("tensorflow", "reference", "skip_gru", (4,), 1)
    with pytest.raises(CellError, match="lengths and mask are one thing: give one of them"):
        layer(np.zeros((2, 7, 3)), lengths=np.array([1, 2]), mask=np.ones((2, 7), bool))
