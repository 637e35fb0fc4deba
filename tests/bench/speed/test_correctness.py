"""Before times are taken: engines that agree pass, and one that is wrong is named with how far it is off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.speed import correctness
from bench.speed.correctness import disagreements
from bench.speed.precisions import unavailable
from bench.speed.scales import SCALES
from impls import contract
from impls.contract import FRAMEWORKS, PRECISIONS, ModelSpec
from impls.kinds import skip_cells


@pytest.mark.parametrize(
    ("framework", "cells", "precisions"),
    [
        ("pytorch", skip_cells(), ["float32", "bfloat16"]),
        pytest.param("tensorflow", ("skip_lstm",), ["float32"], marks=pytest.mark.slow),  # it compiles
    ],
    ids=FRAMEWORKS,
)
def test_engines_that_agree_have_nothing_told_of_them(
    framework: str, cells: tuple[str, ...], precisions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correctness, "skip_cells", lambda: cells)
    assert list(disagreements(framework, device="cpu", precisions=precisions)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"predictions": 1e-3},
            "predictions of skip_lstm in float32 at 33 units are not the reference's: 0.001 apart, where 0.0001",
        ),
        ({"predictions": np.nan}, "predictions of skip_lstm in float32 at 33 units are not the reference's: nan apart"),
        ({"gates": 1.0}, "gates of skip_lstm in float32 at 33 units are not the reference's"),
    ],
)
def test_a_wrong_engine_is_named(change: dict[str, float], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = correctness._found

    def wrong(framework: str, engine: str, *args: Any, **options: Any) -> Any:
        found = right(framework, engine, *args, **options)
        if engine == "fast":
            for name, by in change.items():
                getattr(found, name)[0] += by
        return found

    monkeypatch.setattr(correctness, "_found", wrong)
    told = list(disagreements("pytorch", device="cpu", precisions=["float32"]))
    assert len(told) == 2
    assert told[0].startswith(f"pytorch on cpu: the fast engine's {line}")
    assert "skip_gru" in told[1]


def test_the_sequences_that_are_compared_differ_in_their_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or gates would agree whatever an engine makes of them."""
    gates = []
    right = correctness._found

    def seen(*args: Any, **options: Any) -> Any:
        found = right(*args, **options)
        gates.append(found.gates)
        return found

    monkeypatch.setattr(correctness, "_found", seen)
    list(disagreements("pytorch", device="cpu", precisions=["float32"]))
    assert len(gates) == 4
    for of in gates:
        assert 0.1 < of.mean() < 0.9
        assert len({row.tobytes() for row in of}) > 3


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("factor", [0.0, -1.0, 3.0])
def test_a_wrong_gradient_is_seen_in_every_precision(
    factor: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes to the optimizer, all that a gradient may do: a learning rate of 0 hides it from the parameters.

    A CPU does not multiply in TF32; what is compared with its tolerance is float32 then.
    """
    right = contract.build_learner

    def wrong(framework: str, *, model: ModelSpec, engine: str, **options: Any) -> Any:
        if precision == "tf32":
            model = replace(model, cell=replace(model.cell, precision="float32"))
        learner: Any = right(framework, model=model, engine="reference", **options)
        if engine == "fast":
            step = learner.optimizer.step

            def scaled(**options: Any) -> None:
                for parameter in learner.model.parameters():
                    parameter.grad *= factor
                step(**options)

            learner.optimizer.step = scaled
        return learner

    monkeypatch.setattr(correctness, "build_learner", wrong)
    monkeypatch.setattr(correctness, "skip_cells", lambda: ("skip_gru",))
    monkeypatch.setattr(correctness, "SMALL", correctness.SMALL._replace(trained=0))
    told = list(disagreements("pytorch", device="cpu", precisions=[precision]))
    off = {0.0: "1", -1.0: "2", 3.0: "2"}[factor]
    words = f"gradients by layers.0.gate_weights of skip_gru in {precision} at 33 units are not the reference's: {off}"
    assert [line.partition(" of their norm apart")[0] for line in told] == [
        f"pytorch on cpu: the fast engine's {words}"
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [correctness.SMALL, *correctness.MEASURED], ids=str)
def test_what_is_rounding_of_a_gradient_is_far_from_a_wrong_one(shape: correctness.Shape, precision: str) -> None:
    """A gradient that is left out is off by the whole of its norm."""
    assert correctness.gradients_rounding(shape, precision=precision, updates=shape.length / 2) < 0.2


def test_on_a_gpu_sizes_that_are_measured_are_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose kernels are compiled for sizes; on a CPU a small one tells as much, and takes no time."""
    asked = []
    nothing = correctness.Found({}, np.zeros(1), np.zeros((1, 1)))

    def found(framework: str, engine: str, model: ModelSpec, shape: correctness.Shape, *, device: str) -> Any:
        asked.append((device, model.cell.precision, shape.units))
        return nothing

    monkeypatch.setattr(correctness, "_found", found)
    for device in ("cpu", "cuda"):
        assert list(disagreements("pytorch", device=device, precisions=["float32", "bfloat16"])) == []
    assert set(asked) == {
        ("cpu", "float32", 33), ("cpu", "bfloat16", 33), ("cuda", "bfloat16", 33), ("cuda", "bfloat16", 110),
        ("cuda", "float32", 33), ("cuda", "float32", 110), ("cuda", "float32", 512),
    }  # fmt: skip
    measured = {(setting.units, setting.input_size) for setting in SCALES["gpu"].settings}
    assert {(shape.units, shape.features) for shape in correctness.MEASURED} <= measured


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_cpu_has_no_tf32(framework: str) -> None:
    ((name, why),) = unavailable(framework, device="cpu").items()
    assert (name, "only a GPU multiplies so" in why) == ("tf32", True)


@pytest.mark.gpu
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_on_a_gpu(framework: str, cuda: None) -> None:
    refused = unavailable(framework, device="cuda")
    precisions = [name for name in correctness.ROUNDING if name not in refused]
    assert list(disagreements(framework, device="cuda", precisions=precisions)) == []
