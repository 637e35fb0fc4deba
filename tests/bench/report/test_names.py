"""What things are called for people: cells, problems, configurations, metrics and columns."""

from __future__ import annotations

from typing import Any

import pytest

from bench.plan.trial import build_trial
from bench.report import names
from bench.report.comparison.paired_differences import compare
from bench.report.frames import trials_frame
from bench.report.labels import problem_names
from bench.report.page import sections
from tests.bench.report.stored import ok_record, trial


def made(**fields: Any) -> Any:
    content = {"task": "adding", "cell": "skip_lstm", "framework": "pytorch", "units": 8, **fields}
    return ok_record(build_trial(content, where="test"), quality=0.1, update_ratio=0.5)


def labels(*records: Any) -> list[str]:
    return trials_frame(records)["label"].tolist()


@pytest.mark.parametrize(
    ("cell", "name"),
    [("lstm", "LSTM"), ("skip_gru", "Skip GRU"), ("rnn", "rnn"), ("skip_rnn", "Skip rnn"), ("<b>", "<b>")],
)
def test_cells_of_ones_own_keep_their_name(cell: str, name: str) -> None:
    assert names.cell_name(cell) == name


def test_a_problem_tells_its_length() -> None:
    assert problem_names([("adding", {"length": 50}, 50), ("imdb", {"length": 200, "shuffled": True}, 200)]) == [
        "adding problem, T = 50",
        "IMDB, T = 200",
    ]


def test_problems_of_one_length_tell_what_sets_them_apart() -> None:
    ucf: dict[str, Any] = {"length": 250, "split": 1}
    assert problem_names([("ucf101", ucf, 250), ("ucf101", ucf | {"split": 2}, 250)]) == [
        "UCF-101, T = 250, split = 1",
        "UCF-101, T = 250, split = 2",
    ]


def test_another_data_set_of_a_task_is_called_by_its_own_name() -> None:
    told = problem_names([("mnist", {"variant": name, "stride": 1}, 784) for name in ("mnist", "fashion_mnist")])
    assert told == ["sequential MNIST, T = 784", "sequential Fashion-MNIST, T = 784"]
    assert problem_names([("mine", {"variant": "mnist"}, 3)]) == ["mine, T = 3"]


def test_units_stand_in_the_order_of_their_numbers() -> None:
    """Not of their digits, by which 110 units would stand first and a stack of 64 and 32 before 8."""
    sizes = ([64, 32], 110, 8, 16, [8, 8], [8])
    frame = trials_frame([made(units=units, seed=seed) for seed, units in enumerate(sizes)])
    assert frame["units"].tolist() == ["8", "8", "8x8", "16", "64x32", "110"]
    assert "units_order" not in frame


def test_a_configuration_tells_its_cost_and_what_varies() -> None:
    assert labels(made(budget_cost=1e-5)) == ["Skip LSTM, λ = 1e-5"]
    assert labels(made()) == ["Skip LSTM"]
    assert labels(made(), made(budget_cost=0.0001)) == ["Skip LSTM, λ = 0", "Skip LSTM, λ = 1e-4"]
    assert labels(made(update_bias=0.5), made(layer_norm=True)) == [
        "Skip LSTM, layer norm = no, update bias = 0.5",
        "Skip LSTM, layer norm = yes, update bias = 1",
    ]


def test_a_plain_cell_does_not_tell_what_it_has_no_use_for() -> None:
    asked = [made(budget="l2", budget_target=target) for target in (10, 5)]
    assert labels(*asked, made(cell="lstm"), made(cell="gru", period=2)) == [
        "LSTM",
        "GRU, every 2nd step",
        "Skip LSTM, updates asked for = 5",
        "Skip LSTM, updates asked for = 10",
    ]


def test_a_cost_per_sample_asks_for_no_number_of_updates() -> None:
    assert labels(made(budget_cost=0.1), made(budget_cost=0.1, budget="l1", budget_target=5)) == [
        "Skip LSTM, λ = 0.1, budget = cost per sample",
        "Skip LSTM, λ = 0.1, budget = l1, updates asked for = 5",
    ]


def test_where_much_varies_a_trial_tells_what_sets_it_apart_from_most() -> None:
    odd = made(activation="relu", initial_state="zeros", forget_bias=0.5, protocol={"dropout": 0.5})
    others = [made(), made(cell="lstm"), made(layer_norm=True), made(seed=1), made(layer_norm=True, gate="bernoulli")]
    assert set(labels(odd, *others)) == {
        "LSTM",
        "Skip LSTM",
        "Skip LSTM, layer norm = yes",
        "Skip LSTM, layer norm = yes, gate = bernoulli",
        "Skip LSTM, activation = relu, forget bias = 0.5, initial state = zeros, dropout = 0.5",
    }


def test_trials_of_one_configuration_stand_together_whatever_their_seed() -> None:
    frame = trials_frame([made(update_bias=bias, seed=seed) for seed in (0, 1) for bias in (2.0, 0.5, 1.0)])
    assert frame["update_bias"].tolist() == [0.5, 0.5, 1.0, 1.0, 2.0, 2.0]
    assert frame["seed"].tolist() == [0, 1, 0, 1, 0, 1]


def test_configurations_that_differ_have_different_labels() -> None:
    several = [made(units=8), made(units=16), made(protocol={"steps": 100}), made(gate="bernoulli")]
    several += [made(cell="lstm"), made(cell="lstm", update_bias=0.5)]
    assert len(set(labels(*several))) == len(several)


@pytest.mark.parametrize(
    ("number", "text"), [(2, "2nd"), (3, "3rd"), (11, "11th"), (13, "13th"), (21, "21st"), (112, "112th")]
)
def test_ordinals(number: int, text: str) -> None:
    assert names.ordinal(number) == text


def test_chosen_values_are_plain() -> None:
    values = [True, 0.001, "round_gate", [1, 2], float("nan"), None]
    assert [names.plain(value) for value in values] == ["yes", "0.001", "round gate", "[1, 2]", "none", "none"]


def test_heads_have_units() -> None:
    assert names.head("step_milliseconds") == "training step (ms)"
    assert names.head("protocol.batch_size") == "batch size"
    assert names.metric_head("accuracy", higher_is_better=True) == "accuracy (%) ↑"
    assert names.metric_head("mean_squared_error", higher_is_better=False) == "mean squared error ↓"


def test_the_summary_is_a_sentence() -> None:
    frame = trials_frame([made(budget_cost=1e-5), made(budget_cost=1e-5, seed=1)])
    points = sections.summary(frame, compare(frame, apart="framework"), verdicts=[]).points
    assert points[0] == (
        "adding problem, T = 50: lowest mean squared error 0.1000, the mean of 2 seeds, by Skip LSTM, λ = 1e-5 in "
        "PyTorch, with 50 % of the steps used, after the last training step; 2 of 2 trials solved the task."
    )


def test_the_summary_does_not_count_what_was_not_run_among_what_did_not_solve_the_task() -> None:
    frame = trials_frame([made()], missing=[made(seed=seed).trial for seed in (1, 2)])
    (point, *_) = sections.summary(frame, compare(frame, apart="framework"), verdicts=[]).points
    assert point.endswith("; 1 of 1 trial solved the task, 2 not run.")


def test_the_summary_tells_samples_where_the_paper_does() -> None:
    frame = trials_frame([ok_record(trial("digits", "skip_gru", "tensorflow"), quality=0.9123, update_ratio=0.25)])
    points = sections.summary(frame, compare(frame, apart="framework"), verdicts=[]).points
    assert points[0].startswith("sequential digits, T = 64: highest accuracy 91.23 % by Skip GRU in TensorFlow, ")
    assert "with 16 of 64 samples used" in points[0]
