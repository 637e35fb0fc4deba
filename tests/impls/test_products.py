"""The precision of matrix products: what each rounds, in every engine, and what a GPU's libraries are told.

In float64, where sums have room, engines that round the same operands agree as closely as those that round none.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from impls import reference
from impls.checks import check_precision
from impls.contract import (
    FRAMEWORKS,
    PRECISIONS,
    Batch,
    CellSpec,
    ModelSpec,
    OptimizerSpec,
    build_learner,
)
from impls.errors import CellError
from impls.kinds import cells
from impls.parameters import initial_parameters
from tests.impls import engines as every_engine
from tests.impls.engines import assert_agree, random_case, run_engine
from tests.impls.frameworks import array, parameters_for, tensor

OTHERS = [*every_engine.ENGINES[1:], ("pytorch", "operations")]


def rounded(spec: CellSpec) -> CellSpec:
    return replace(spec, precision="bfloat16")


def test_the_oracle_rounds_to_bfloat16() -> None:
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(size=500) * 10.0 ** draw.integers(-20, 20, 500), [0.0, -0.0, 1.00390625]])
    nearest = values.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    np.testing.assert_array_equal(reference.as_bfloat16(values), nearest)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_product_rounds_its_operands_and_its_gradients(framework: str) -> None:
    """Its own and those of both products of the gradient; ties go to even, NaN and infinities stay."""
    products = importlib.import_module(f"impls.{framework}.products")
    draw = np.random.default_rng(1)
    left, right, g = draw.normal(size=(2, 3, 4)), draw.normal(size=(4, 5)), draw.normal(size=(2, 3, 5))
    left[0, 0] = [1.00390625, 1.01171875, -1.00390625, 3.0e-30]
    a, b, c = (reference.as_bfloat16(value) for value in (left, right, g))
    expected = a @ b, c @ b.T, a.reshape(-1, 4).T @ c.reshape(-1, 5)
    if framework == "pytorch":
        ours, weights = (tensor(framework, value).requires_grad_() for value in (left, right))
        result = products.product(ours, weights, precision="bfloat16")
        result.backward(tensor(framework, g))
        found = result.detach(), ours.grad, weights.grad
    else:
        import tensorflow as tf

        ours, weights = tensor(framework, left), tensor(framework, right)

        @tf.function(jit_compile=True, autograph=False)
        def run(ours: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([ours, weights])
                result = products.product(ours, weights, precision="bfloat16")
                loss = tf.reduce_sum(result * g)
            return result, *tape.gradient(loss, [ours, weights])

        found = run(ours, weights)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(array(mine), theirs, rtol=1e-14, atol=1e-14)
    odd = products.product(tensor(framework, np.array([[np.nan], [np.inf]])), tensor(framework, np.eye(1)),
                           precision="bfloat16")  # fmt: skip
    np.testing.assert_array_equal(array(odd)[:, 0], [np.nan, np.inf])


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=pytest.mark.slow if cell != "lstm" else ()) for cell in cells()]
)
def test_engines_agree_in_bfloat16(cell: str) -> None:
    """Gates, outputs and every gradient, where sequences end early and layers are stacked; and rounding does count."""
    spec = rounded(CellSpec(cell=cell, input_size=3, units=(6, 5), update_bias=-1.0))
    case = random_case(spec, batch=5, time=9, lengths=True)
    expected = run_engine("pytorch", "reference", case)
    for name in OTHERS:
        if name != ("tensorflow", "fast") or spec.skips:  # a plain cell's products there are its kind's
            assert_agree(run_engine(*name, case), expected)
    exact = run_engine("pytorch", "reference", replace(case, spec=replace(spec, precision="float32")))
    assert np.abs(exact.h - expected.h).max() > 1e-4


@pytest.mark.parametrize("cell", cells())
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_bfloat16_is_the_oracles(framework: str, cell: str) -> None:
    spec = rounded(CellSpec(cell=cell, input_size=3, units=(6,), update_bias=-1.0, initial_state="zeros"))
    parameters = parameters_for(spec, seed=2)
    case = random_case(spec, batch=4, time=12, seed=2, fresh=True)
    case = replace(case, parameters=parameters, state=[np.zeros_like(leaf) for leaf in case.state])
    if spec.skips:
        case.state[-2][:] = 1.0
    expected = reference.unroll(spec, parameters, case.inputs)
    found = run_engine(framework, "reference", case)
    np.testing.assert_array_equal(found.gates[:, :, 0], expected.gates)
    np.testing.assert_allclose(found.h, expected.h, rtol=0, atol=1e-12)


def model(precision: str, *, cell: str = "skip_lstm") -> ModelSpec:
    cell = CellSpec(cell=cell, input_size=2, units=(4,), precision=precision)
    return ModelSpec(cell=cell, output_size=2, loss="mean_squared_error", budget_cost=0.01, dtype="float64")


def batch() -> Batch:
    draw = np.random.default_rng(3)
    return Batch(
        inputs=draw.normal(size=(4, 6, 2)).astype(np.float32), targets=draw.normal(size=(4, 2)).astype(np.float32)
    )


def trained(framework: str, engine: str, precision: str) -> Mapping[str, Any]:
    spec = model(precision)
    learner = build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(learning_rate=1e-2),
        parameters=initial_parameters(spec, seed=3),
        engine=engine,
    )
    for _ in range(5):
        learner.train_step(batch())
    return learner.export_parameters()


@pytest.mark.parametrize(
    ("framework", "engine"),
    [
        *(pair for pair in every_engine.ENGINES if pair != ("tensorflow", "reference")),
        pytest.param("tensorflow", "reference", marks=pytest.mark.slow),
    ],
)
def test_learners_train_alike_in_bfloat16_and_keep_whole_parameters(framework: str, engine: str) -> None:
    """The readout's products are rounded too; parameters, moments and losses are not."""
    expected = trained("pytorch", "reference", "bfloat16")
    for name, value in trained(framework, engine, "bfloat16").items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    exact = trained("pytorch", "reference", "float32")
    assert all((np.abs(exact[name] - value) > 1e-7).any() for name, value in expected.items())
    assert all((reference.as_bfloat16(value) != value).any() for value in expected.values())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_tf32_is_refused_on_a_cpu(framework: str) -> None:
    with pytest.raises(CellError, match=r"precision='tf32' with device='cpu': only a GPU.*'float32'"):
        trained(framework, "fast", "tf32")
    with pytest.raises(CellError, match="did you mean 'bfloat16'"):
        trained(framework, "fast", "float16")


def settings(framework: str) -> tuple[object, ...]:
    """What a GPU's libraries are told of float32 products now."""
    if framework == "pytorch":
        import torch

        cuda: Any = torch.backends.cuda.matmul
        cudnn: Any = torch.backends.cudnn
        return (
            cuda.fp32_precision,
            cudnn.rnn.fp32_precision,
            cudnn.conv.fp32_precision,
            cuda.allow_bf16_reduced_precision_reduction,
            torch.get_float32_matmul_precision(),  # these are older words, which PyTorch wants to say the same
            cudnn.allow_tf32,
        )
    import tensorflow as tf

    return (tf.config.experimental.tensor_float_32_execution_enabled(),)


SET: dict[str, dict[str, tuple[object, ...]]] = {
    "pytorch": {
        "float32": ("ieee", "ieee", "ieee", False, "highest", False),
        "tf32": ("tf32", "tf32", "tf32", False, "high", True),
        "bfloat16": ("ieee", "ieee", "ieee", False, "highest", False),
    },
    # Operands that are rounded to bfloat16 are exact in TF32.
    "tensorflow": {"float32": (False,), "tf32": (True,), "bfloat16": (True,)},
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_is_told_for_the_steps_alone(framework: str) -> None:
    """In any order, and after an error too: another learner of the process finds what it was before."""
    products = importlib.import_module(f"impls.{framework}.products")
    before = settings(framework)
    for precision in (*PRECISIONS, *reversed(PRECISIONS)):
        with products.multiplying(precision, device="cuda"):
            assert settings(framework) == SET[framework][precision]
            with products.multiplying("float32", device="cuda"):
                assert settings(framework) == SET[framework]["float32"]
            assert settings(framework) == SET[framework][precision]
        assert settings(framework) == before
    with pytest.raises(ZeroDivisionError), products.multiplying("tf32", device="cuda"):
        _ = 1 / 0
    assert settings(framework) == before


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_learner_holds_its_precision_for_every_step(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from within: the model runs, and gradients are made, while the precision is held for the device."""
    module = importlib.import_module(f"impls.{framework}.learner")
    products = importlib.import_module(f"impls.{framework}.products")
    held: list[tuple[object, ...]] = []
    asked: list[str] = []

    def as_on_a_gpu(precision: str, *, device: str) -> Any:
        asked.append(device)
        return products.multiplying("tf32" if precision == "bfloat16" else precision, device="cuda")

    def seen(*args: Any, **options: Any) -> Any:
        held.append(settings(framework))
        return original(*args, **options)

    monkeypatch.setattr(module, "multiplying", as_on_a_gpu)
    original = module.task_loss
    monkeypatch.setattr(module, "task_loss", seen)
    before = settings(framework)
    for precision in ("bfloat16", "float32"):
        spec = model(precision, cell="gru")
        learner = build_learner(
            framework,
            model=spec,
            optimizer=OptimizerSpec(),
            parameters=initial_parameters(spec, seed=3),
            engine="reference",
        )
        learner.train_step(batch())
        learner.evaluate(batch())
        told = SET[framework]["tf32" if precision == "bfloat16" else "float32"]
        assert held == [told] * len(held)
        assert len(held) == 2
        held.clear()
        assert settings(framework) == before
    assert asked == ["cpu"] * 4


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_multiplies_as_it_is_told(framework: str, precision: str, cuda: None) -> None:
    """Against float64: float32 to its own digits, the others to theirs and no further."""
    products = importlib.import_module(f"impls.{framework}.products")
    draw = np.random.default_rng(0)
    left, right = (draw.normal(size=(256, 256)).astype(np.float32) for _ in range(2))
    if framework == "pytorch":
        import torch

        with products.multiplying(precision, device="cuda"):
            ours = (torch.tensor(value, device="cuda") for value in (left, right))
            found = products.product(*ours, precision=precision).cpu().numpy()
    else:
        import tensorflow as tf

        with tf.device("/GPU:0"), products.multiplying(precision, device="cuda"):
            found = products.product(tf.constant(left), tf.constant(right), precision=precision).numpy()
    exact = left.astype(np.float64) @ right.astype(np.float64)
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    low, high = {"float32": (0, 1e-6), "tf32": (1e-5, 1e-3), "bfloat16": (1e-4, 1e-2)}[precision]
    assert low <= error < high
    if precision == "bfloat16":
        np.testing.assert_allclose(found, reference.as_bfloat16(left) @ reference.as_bfloat16(right), atol=1e-4)


@pytest.mark.parametrize("override", ["", "0", "1"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_nvidias_own_override_of_a_precision_is_refused(
    monkeypatch: pytest.MonkeyPatch, precision: str, override: str
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    if (precision, override) in (("tf32", "0"), ("float32", "1")):
        with pytest.raises(CellError, match=f"NVIDIA_TF32_OVERRIDE={override}"):
            check_precision(precision, device="cuda")
    else:
        check_precision(precision, device="cuda")
    if precision != "tf32":
        check_precision(precision, device="cpu")
