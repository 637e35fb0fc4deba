"""The paper's figures: which runs they draw, what their lines are means of, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench.plan.trial import Trial
from bench.records.record import Record
from bench.records.store import Store, write_arrays, write_curve
from bench.report.figures.sequences import PIXEL, Examples, draw_image, outcome_words, used_and_skipped
from bench.report.figures.style import Picture, save
from bench.report.frames import trials_frame
from bench.report.paper.curves import curve_figures
from bench.report.paper.gates import gate_figures
from tests.bench.report.paper.runs import made, run

SMALL = {"downsample": 4}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def with_curve(store: Store, of: Trial, accuracies: Sequence[float], **more) -> Record:
    """A run with an evaluation an epoch."""
    record = run(of, **more)
    store.write(record)
    rows = [{"step": 7 * epoch, "epoch": float(epoch), "quality": value} for epoch, value in enumerate(accuracies, 1)]
    write_curve(store.folder_of(of.id) / "curve.csv", rows)
    return record


def with_gates(store: Store, of: Trial, gates: Iterable[float], *, inputs: np.ndarray | None = None, **more) -> Record:
    """A run that left one test sequence."""
    record = run(of, **more)
    store.write(record)
    used = np.array([list(gates)], np.float32)
    features = 2 if of.task == "adding" else 1
    given = np.ones((1, used.shape[1], features), np.float32) if inputs is None else inputs[np.newaxis]
    write_arrays(store.folder_of(of.id) / "gates.npz", {"inputs": given, "gates": used, "targets": used[:, 0]})
    return record


def only(pictures: list[Picture]) -> Picture:
    assert len(pictures) == 1
    return pictures[0]


def skip_mnist(framework: str = "pytorch", cell: str = "skip_gru", **fields) -> Trial:
    return made("mnist", cell, framework, budget_cost=1e-4, **fields)


def test_figure_2_is_the_mean_and_the_range_of_the_runs_that_ended_ok(store: Store):
    records = [
        with_curve(store, skip_mnist(), [0.2, 0.6]),
        with_curve(store, skip_mnist(seed=1), [0.4, 0.7]),
        with_curve(store, skip_mnist(seed=2), [0.1], status="diverged"),
        with_curve(store, made("mnist", "gru"), [0.3, 0.5]),
        with_curve(store, made("mnist", "lstm"), [0.9, 0.9]),
    ]
    missing = [made("mnist", "gru", seed=1), made("mnist", "gru", seed=2)]
    picture = only(curve_figures(trials_frame(records, missing=missing), store=store))
    assert picture.name == "paper-figure-2"
    line = picture.data[picture.data["model"] == "Skip GRU, λ = 1e-4"].set_index("epoch")
    assert line["quality_mean"].tolist() == pytest.approx([0.3, 0.65])
    assert line[["quality_min", "quality_max"]].loc[1.0].tolist() == pytest.approx([0.2, 0.4])
    assert line["runs"].tolist() == [2, 2]
    assert set(picture.data["model"]) == {"GRU", "Skip GRU, λ = 1e-4"}
    assert "Of 6 runs 2 were not run and 1 did not end ok: in no line." in picture.caption


def test_configurations_and_frameworks_have_panels_of_their_own(store: Store):
    records = [
        with_curve(store, skip_mnist(units=8), [0.2]),
        with_curve(store, skip_mnist(units=16), [0.8]),
        with_curve(store, skip_mnist("tensorflow", units=16), [0.5]),
    ]
    picture = only(curve_figures(trials_frame(records), store=store))
    panels = picture.data.set_index(["framework", "settings"])["quality_mean"]
    assert panels.to_dict() == {
        ("pytorch", "8 units"): 0.2, ("pytorch", "16 units"): 0.8, ("tensorflow", "16 units"): 0.5,
    }  # fmt: skip
    titles = [axes.get_title(loc="left") for axes in picture.figure.axes]
    assert titles == ["PyTorch, 8 units", "PyTorch, 16 units", "TensorFlow, 16 units"]
    assert "8 and 16 units instead of 110" in picture.caption


def test_an_evaluation_that_one_run_lacks_is_in_no_mean(store: Store):
    records = [
        with_curve(store, skip_mnist(), [0.2, 0.4, 0.6]),
        with_curve(store, skip_mnist(seed=1), [0.4, float("nan")]),
    ]
    data = only(curve_figures(trials_frame(records), store=store)).data
    assert data["epoch"].tolist() == [1.0]
    assert data["quality_mean"].tolist() == pytest.approx([0.3])


def test_digits_stand_in_for_mnist_and_are_named(store: Store):
    records = [
        with_curve(store, made("digits", "gru"), [0.2]),
        with_curve(store, made("digits", "skip_gru", budget_cost=1e-3), [0.3]),
        with_curve(store, made("digits", "gru", p_skip=0.5), [0.1]),
    ]
    picture = only(curve_figures(trials_frame(records), store=store))
    assert picture.data["model"].tolist() == ["GRU", "Skip GRU, λ = 0.001"]
    assert "scikit-learn's digits (8 × 8) in place of MNIST" in picture.caption


# A field by which a trial is no longer the paper's cell, with a value that is not the paper's.
ABLATIONS = pytest.mark.parametrize(
    "ablated",
    [
        {"layer_norm": True}, {"update_bias": 0.0}, {"initial_state": "zeros"}, {"gate": "bernoulli"},
        {"budget": "l1", "budget_target": 9.0}, {"activation": "relu"}, {"forget_bias": 0.0}, {"precision": "bfloat16"},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip


@ABLATIONS
def test_an_ablation_is_no_run_of_a_stand_in_s_line(store: Store, ablated: dict[str, Any]):
    skip = {"cell": "skip_gru", "budget_cost": 1e-3}
    records = [with_curve(store, made("digits", **fields), [0.9]) for fields in ({"cell": "gru"}, skip)]
    records += [with_curve(store, made("digits", **skip, **ablated), [0.2])]
    data = only(curve_figures(trials_frame(records), store=store)).data.set_index("model")
    assert data["runs"].to_dict() == {"GRU": 1, "Skip GRU, λ = 0.001": 1}
    assert data["quality_mean"].to_dict() == {"GRU": 0.9, "Skip GRU, λ = 0.001": 0.9}


def test_other_units_of_a_stand_in_have_a_panel_of_their_own(store: Store):
    records = [with_curve(store, made("digits", "gru", units=units), [units / 100]) for units in (8, 16)]
    data = only(curve_figures(trials_frame(records), store=store)).data
    assert data.set_index("settings")["quality_mean"].to_dict() == {"8 units": 0.08, "16 units": 0.16}


@ABLATIONS
def test_an_ablation_is_not_drawn_as_the_plain_skip_cell(store: Store, ablated: dict[str, Any]):
    kept, skipped = [1.0] * 64, [1.0] + [0.0] * 63
    odd = with_gates(store, made("digits", "skip_lstm", **ablated), skipped)
    assert gate_figures(trials_frame([odd]), store=store) == []
    plain = with_gates(store, made("digits", "skip_lstm", seed=1), kept)
    picture = only(gate_figures(trials_frame([odd, plain]), store=store))
    assert picture.data["used"].all()
    assert "seed 1 in PyTorch, the lowest there is." in picture.caption


def test_a_drawn_run_says_what_sets_it_apart_from_others_of_its_model(store: Store):
    records = [with_gates(store, made("digits", "skip_lstm", units=units), [1.0] * 64) for units in (8, 16)]
    caption = only(gate_figures(trials_frame(records), store=store)).caption
    assert "seed 0 in PyTorch (8 units)" in caption


def test_figure_4_has_the_lstm_and_skip_lstm_at_each_cost(store: Store):
    costs = (0.0, 1e-5, 1e-4)
    records = [with_curve(store, made("ucf101", "skip_lstm", budget_cost=cost), [0.5]) for cost in costs]
    records += [with_curve(store, made("ucf101", cell), [0.4]) for cell in ("lstm", "gru")]
    picture = only(curve_figures(trials_frame(records), store=store))
    assert picture.name == "paper-figure-4"
    assert picture.data["model"].tolist() == [
        "LSTM", "Skip LSTM, λ = 0", "Skip LSTM, λ = 1e-5", "Skip LSTM, λ = 1e-4",
    ]  # fmt: skip
    lines = picture.figure.axes[0].lines
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4, "apart without colour"


def test_figure_3_draws_images_at_their_own_size(store: Store):
    trial = skip_mnist(cell="skip_lstm", options=SMALL | {"variant": "fashion_mnist"})
    picture = only(gate_figures(trials_frame([with_gates(store, trial, [1, 0] * 24 + [1])]), store=store))
    assert picture.name == "paper-figure-3"
    assert "Images of 7 × 7 pixels." in picture.caption
    assert "Fashion-MNIST images instead of MNIST" in picture.caption
    assert "on MNIST" not in picture.title
    assert "Fashion-MNIST" in picture.title
    assert "downsampled by 4 instead of 1" in picture.caption
    assert picture.data["used"].sum() == 25
    image = picture.figure.subfigs[0].axes[0].images[0].get_array()
    assert image is not None
    assert image.shape == (7 * PIXEL, 7 * PIXEL, 3)


def test_every_second_pixel_is_drawn_where_it_stands():
    """Of an image 3 pixels a side every second one is a step, which are five of its nine."""
    gates = np.array([[1, 0, 1, 0, 1]], np.float32)
    examples = Examples(inputs=np.ones((1, 5, 1), np.float32), gates=gates, real=gates >= 0, stride=2)
    axes = Figure().subplots()
    draw_image(axes, examples, 0)
    centres = np.asarray(axes.images[0].get_array())[PIXEL // 2 :: PIXEL, PIXEL // 2 :: PIXEL]
    reds, blues = centres[..., 0] > centres[..., 2], centres[..., 2] > centres[..., 0]
    assert np.flatnonzero(reds).tolist() == [0, 4, 8]
    assert np.flatnonzero(blues).tolist() == [2, 6]
    assert examples.side == 3


def test_skipped_pixels_are_told_without_colour():
    gates = np.array([[1, 0, 0, 1]], np.float32)
    axes = Figure().subplots()
    examples = Examples(inputs=np.ones((1, 4, 1), np.float32), gates=gates, real=gates >= 0)
    draw_image(axes, examples, 0)
    dots = np.asarray(axes.images[0].get_array())
    white = (dots == 1).all(axis=-1)
    assert not white[:PIXEL, :PIXEL].any()
    assert white[:PIXEL, PIXEL:].any()


@pytest.mark.parametrize("sequences", [-np.ones((1, 49, 1)), np.ones((1, 48, 1)), np.ones((1, 49, 2))])
def test_what_is_no_square_of_pixels_is_no_image(sequences: np.ndarray):
    real = np.ones(sequences.shape[:2], bool)
    assert not Examples(inputs=sequences, gates=real, real=real).are_images


def test_figure_5_draws_the_marker_of_both_frameworks(store: Store):
    inputs = np.array([[0.3, 0], [0.2, 1], [0.1, 0], [0.4, 1]], np.float32)
    records = [
        with_gates(
            store, made("adding", "skip_gru", name, budget_cost=1e-5, options={"length": 4}), gates, inputs=inputs
        )
        for name, gates in (("pytorch", [1, 1, 0, 0]), ("tensorflow", [1, 0, 0, 0]))
    ]
    picture = only(gate_figures(trials_frame(records), store=store))
    assert picture.name == "paper-figure-5"
    titles = [axes.get_title(loc="left") for axes in picture.figure.axes]
    assert titles == [
        "PyTorch: 50 % used; mean squared error 0.500, not solved",
        "TensorFlow: 25 % used; mean squared error 0.500, not solved",
    ]
    used, skipped = picture.figure.axes[0].collections
    assert np.asarray(used.get_offsets()).tolist() == [[0, 0], [1, 1]]
    assert np.asarray(skipped.get_offsets()).tolist() == [[2, 0], [3, 1]]
    assert "T = 4 instead of 50" in picture.caption


def test_figure_6_prefers_the_paper_s_row_and_says_where_it_is_another(store: Store):
    skip = {"cell": "skip_lstm", "budget_cost": 1e-4}
    wave = np.sin(np.arange(100, dtype=np.float32))[:, np.newaxis]
    one = with_gates(store, made("frequency", **skip), [1.0] * 100, inputs=wave)
    picture = only(gate_figures(trials_frame([one]), store=store))
    assert "test sequences of Skip LSTM, λ = 1e-4, T = 100" in picture.caption
    assert "Skip LSTM, λ = 1e-4, T = 200 is the paper's; this sweep has no sequences of it" in picture.caption
    half = made("frequency", **skip, options={"sample_milliseconds": 0.5})
    both = [one, with_gates(store, half, [1.0] * 200, inputs=wave.repeat(2, axis=0))]
    picture = only(gate_figures(trials_frame(both), store=store))
    assert "test sequences of Skip LSTM, λ = 1e-4, T = 200" in picture.caption
    assert "is the paper's" not in picture.caption


def test_runs_that_failed_or_left_nothing_are_not_drawn(store: Store):
    failed = with_gates(store, made("adding", "skip_gru", budget_cost=1e-5), [1.0] * 50, status="failed")
    silent = run(made("adding", "skip_lstm", budget_cost=1e-5))
    frame = trials_frame([failed, silent])
    assert gate_figures(frame, store=store) == []
    assert curve_figures(frame, store=store) == []


def test_figures_of_the_paper_are_saved_for_print_too(store: Store, tmp_path: Path):
    picture = only(curve_figures(trials_frame([with_curve(store, skip_mnist(), [0.2])]), store=store))
    save(picture, folder=tmp_path)
    assert sorted(path.suffix for path in tmp_path.glob("paper-figure-2.*")) == [".csv", ".pdf", ".png", ".svg"]
    assert (tmp_path / "paper-figure-2.pdf").read_bytes().startswith(b"%PDF")
    assert pd.read_csv(tmp_path / "paper-figure-2.csv")["quality_mean"].tolist() == [0.2]


@pytest.mark.parametrize(
    ("metric", "quality", "solved", "said"),
    [
        ("accuracy", 0.4222, False, "accuracy 42.2 %, not solved"),
        ("accuracy", 0.99, True, "accuracy 99 %, solved"),
        ("mean_squared_error", 0.00175, False, "mean squared error 0.00175, not solved"),
        ("accuracy", 0.1, None, "accuracy 10 %"),
    ],
)
def test_a_picture_of_gates_says_how_well_its_run_did(metric: str, quality: float, solved: bool | None, said: str):
    assert outcome_words({"quality_metric": metric, "quality": quality, "solved": solved}) == said


def test_the_picture_of_a_configuration_says_whose_it_is(store: Store):
    run = made("adding", "skip_gru", "tensorflow", budget_cost=1e-5, options={"length": 4}, seed=3)
    record = with_gates(store, run, [1, 1, 0, 0], inputs=np.ones((4, 2), np.float32))
    (picture,) = used_and_skipped(trials_frame([record]), store=store)
    assert "in TensorFlow with seed 3 (mean squared error 0.500, not solved), the lowest that skips" in picture.caption
    assert picture.alternative.endswith("Mean squared error 0.500, not solved.")
