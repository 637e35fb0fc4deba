"""Before times are taken: engines that agree pass, and one that is wrong is named with how far it is off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.speed import correctness
from bench.speed.correctness import disagreements
from bench.speed.precisions import unavailable
from impls.contract import FRAMEWORKS
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
            r"predictions of skip_lstm in float32 are not the reference's: 0.001 apart, where 0.0001",
        ),
        ({"predictions": np.nan}, r"predictions of skip_lstm in float32 are not the reference's: nan apart"),
        ({"gates": 1.0}, r"gates of skip_lstm in float32 are not the reference's"),
    ],
)
def test_a_wrong_engine_is_named(change: dict[str, float], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = correctness._evaluated

    def wrong(framework: str, engine: str, *args: Any, **options: Any) -> Any:
        found = right(framework, engine, *args, **options)
        if engine == "fast":
            for name, by in change.items():
                getattr(found, name)[0] += by
        return found

    monkeypatch.setattr(correctness, "_evaluated", wrong)
    told = list(disagreements("pytorch", device="cpu", precisions=["float32"]))
    assert len(told) == 2
    assert told[0].startswith(f"pytorch on cpu: the fast engine's {line}")
    assert "skip_gru" in told[1]


def test_the_sequences_that_are_compared_differ_in_their_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or gates would agree whatever an engine makes of them."""
    gates = []
    right = correctness._evaluated

    def seen(*args: Any, **options: Any) -> Any:
        found = right(*args, **options)
        gates.append(found.gates)
        return found

    monkeypatch.setattr(correctness, "_evaluated", seen)
    list(disagreements("pytorch", device="cpu", precisions=["float32"]))
    assert len(gates) == 4
    for of in gates:
        assert 0.1 < of.mean() < 0.9
        assert len({row.tobytes() for row in of}) > 3


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
