"""The challenge's localisation score, against its definition written out and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score

from bench.tasks.localization import (
    LocalizationScore,
    actions_at,
    average_precision,
    mean_average_precision,
    time_points,
)
from impls.contract import Batch


def written_out(scores: np.ndarray, labels: np.ndarray) -> float:
    """The challenge's loop: walk down the ranking, add up the precision at every positive."""
    ranking = sorted(range(len(scores)), key=lambda frame: -scores[frame])
    found, total = 0, 0.0
    for rank, frame in enumerate(ranking, start=1):
        if labels[frame] == 1:
            found += 1
            total += found / rank
    return total / found


@given(
    arrays.arrays(np.float32, st.shared(st.integers(1, 40), key="frames"), elements=st.integers(-3, 3)),
    arrays.arrays(np.uint8, st.shared(st.integers(1, 40), key="frames"), elements=st.integers(0, 1)),
)
def test_average_precision_is_the_challenges_ties_included(scores, labels):
    found = average_precision(scores, labels)
    if labels.any():
        assert found == pytest.approx(written_out(scores, labels), rel=1e-12)
    else:
        assert math.isnan(found)


def test_without_ties_it_is_the_usual_average_precision():
    draw = np.random.default_rng(0)
    scores, labels = draw.permutation(200).astype(np.float32), draw.integers(0, 2, 200)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), rel=1e-12)


def test_classes_without_a_positive_are_left_out_of_the_mean():
    scores = np.array([[3, 1, 1], [2, 2, 2], [1, 3, 3]], np.float32)
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert mean_average_precision(scores, labels) == pytest.approx((1 + 1 / 3) / 2)


def test_one_hundred_time_points_begin_at_zero_and_leave_out_the_end():
    times = time_points(20.0)
    assert len(times) == 100
    assert times[0] == 0
    assert times[1] == pytest.approx(0.2)
    assert times[-1] == pytest.approx(19.8)


def test_an_action_goes_on_from_its_first_to_its_last_moment():
    actions = np.array([[2, 1.0, 2.0], [0, 2.0, 9.0], [2, 5.0, 5.5]])
    labels = actions_at(np.array([0.9, 1.0, 2.0, 2.1, 5.2]), actions, classes=3)
    np.testing.assert_array_equal(labels, [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 0, 0], [1, 0, 1]])


def test_the_score_takes_each_time_points_own_step():
    steps = np.stack([np.arange(100) // 50, np.arange(100) // 25])
    labels = np.zeros((2, 100, 2), np.uint8)
    labels[0, :50, 0] = labels[1, 75:, 0] = 1
    labels[:, :, 1] = 1
    score = LocalizationScore(steps=steps, labels=labels)
    predictions = np.zeros((2, 4, 2), np.float32)
    predictions[0, 0, 0] = predictions[1, 3, 0] = 5
    batch = Batch(inputs=np.zeros((1, 4, 1), np.float32), targets=np.zeros((1, 4, 2), np.float32))
    score.add(batch, predictions[:1])
    with pytest.raises(RuntimeError, match="1 of 2 videos"):
        score.quality()
    score.add(batch, predictions[1:])
    assert score.quality() == 1.0
