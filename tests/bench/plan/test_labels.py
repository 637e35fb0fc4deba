"""What the trials of a list are called."""

from __future__ import annotations

from bench.plan.labels import distinct_labels
from bench.plan.trial import build_trial


def test_two_trials_have_two_labels_however_near_their_numbers_are() -> None:
    costs = (1e-5, 1.0000001e-5, 2e-5)
    content = {"task": "adding", "cell": "skip_lstm", "framework": "pytorch"}
    labels = distinct_labels([build_trial(content | {"budget_cost": cost}, where="here") for cost in costs])
    assert len(set(labels)) == 3
    assert labels[0].endswith(" budget_cost=1e-05")
    assert labels[1].endswith(" budget_cost=1.0000001e-05")
    assert "budget_cost" not in labels[2], "its own label tells it already"
