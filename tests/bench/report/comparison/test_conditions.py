"""Under what conditions the times of two trials are each other's."""

from __future__ import annotations

from typing import Any

import pytest

from bench.report.comparison.conditions import of_like_conditions, unlike_conditions
from bench.report.frames import rows_of, trials_frame
from tests.bench.report.stored import ENVIRONMENT, ok_record, trial


def differing(left: dict[str, Any], right: dict[str, Any], *frameworks: str, device: str = "cpu") -> list[str]:
    """In what two trials differ, of which one framework or two, and of which packages, is told."""
    records = [
        ok_record(
            trial("adding", "lstm", framework, seed=seed).model_copy(update={"device": device}),
            quality=0.1,
            environment=ENVIRONMENT | {"packages": packages},
        )
        for seed, (framework, packages) in enumerate(zip(frameworks, (left, right), strict=True))
    ]
    return unlike_conditions(*rows_of(trials_frame(records).sort_values("seed")))


TORCH, KERAS = {"torch": "2.13.0"}, {"tensorflow": "2.21.0", "keras": "3.15.1"}


@pytest.mark.parametrize(
    ("framework", "left", "right", "words"),
    [
        ("pytorch", TORCH, TORCH, []),
        ("pytorch", TORCH, {"torch": "2.0.0"}, ["PyTorch versions (2.13.0 and 2.0.0)"]),
        ("pytorch", TORCH | KERAS, TORCH | {"tensorflow": "2.0.0"}, []),  # another's
        ("pytorch", TORCH | {"numba": "0.61"}, TORCH | {"numba": "0.62"}, ["Numba versions (0.61 and 0.62)"]),
        ("pytorch", TORCH, TORCH | {"numba": "0.62"}, ["Numba versions (not told and 0.62)"]),
        ("pytorch", {}, {}, []),  # neither record tells any
        ("pytorch", {}, TORCH, ["PyTorch versions (not told and 2.13.0)"]),
        ("tensorflow", KERAS, KERAS | {"torch": "2.0.0", "numba": "0.62"}, []),
        ("tensorflow", KERAS, KERAS | {"keras": "3.0"}, ["Keras versions (3.15.1 and 3.0)"]),
        ("tensorflow", KERAS, {"tensorflow": "2.0"},
         ["TensorFlow versions (2.21.0 and 2.0)", "Keras versions (3.15.1 and not told)"]),
    ],
)  # fmt: skip
def test_versions_part_trials_of_one_framework(
    framework: str, left: dict[str, Any], right: dict[str, Any], words: list[str]
):
    assert differing(left, right, framework, framework) == words


def test_on_a_graphics_card_nothing_of_pytorch_is_compiled_by_numba():
    assert differing(TORCH | {"numba": "0.61"}, TORCH | {"numba": "0.62"}, "pytorch", "pytorch", device="cuda") == []


def test_two_frameworks_have_no_versions_in_common_to_differ_in():
    assert differing(TORCH | KERAS, {"torch": "2.0.0", "tensorflow": "2.0"}, "pytorch", "tensorflow") == []


def test_of_three_sides_all_must_be_alike():
    """2 and 4 processes a core are alike, and so are 4 and 8; 2 and 8 are not."""
    sides = [
        trials_frame([ok_record(trial("adding", cell, "pytorch"), quality=0.1, processor_load=2.0 * load)])
        for cell, load in (("gru", 4.0), ("lstm", 2.0), ("skip_lstm", 8.0))
    ]
    alike, unlike = of_like_conditions(sides[:2])
    assert ([len(side) for side in alike], unlike) == ([1, 1], {})
    alike, unlike = of_like_conditions(sides)
    assert ([len(side) for side in alike], unlike) == ([0, 0, 0], {0: "load"})


def test_a_seed_that_one_side_lacks_is_left_out_without_a_word():
    side = trials_frame([ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1) for seed in (0, 1)])
    other = side.assign(status=["ok", "failed"], beside=3.0)
    alike, unlike = of_like_conditions([side, other])
    assert ([len(each) for each in alike], unlike) == ([0, 0], {0: "load"})
