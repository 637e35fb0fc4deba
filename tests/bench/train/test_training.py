"""One short trial for each data set and framework, from files in the published layout to a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.plan.trial import build_trial
from bench.records.record import Record
from bench.records.store import Store
from bench.train.training import run_trial
from impls.contract import installed
from tests.bench.tasks.layouts import write_charades, write_mnist, write_reviews, write_ucf101

TRIALS: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "mnist": (write_mnist, {"options": {"downsample": 7, "validation_images": 10}}),
    "imdb": (write_reviews, {"options": {"length": 8, "embedding_size": 4, "padding": "masked"}}),
    "charades": (write_charades, {"options": {"length": 12}, "units": [8, 8]}),
    "ucf101": (write_ucf101, {"options": {"length": 10, "padding": "masked"}, "units": [8, 8]}),
}


@pytest.fixture(scope="module", params=TRIALS)
def data_set(request, tmp_path_factory) -> tuple[str, Path]:
    data = tmp_path_factory.mktemp(request.param)
    TRIALS[request.param][0](data)
    return request.param, data


# A trial of TensorFlow compiles for some seconds, and other tests have it train.
COMPILED_SLOWLY = ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)]


def run(task: str, *, data: Path, store: Store, framework: str, cell: str = "skip_lstm", **fields: Any) -> Record:
    content = {
        "task": task,
        "cell": cell,
        "framework": framework,
        "units": 8,
        "budget_cost": 1e-3 if cell.startswith("skip") else 0,
        "protocol": {"steps": 2, "batch_size": 4, "learning_rate": 1e-2, "evaluate_every": 2},
    }
    return run_trial(build_trial(content | TRIALS[task][1] | fields, where=task), store=store, data=data)


@pytest.mark.parametrize("framework", COMPILED_SLOWLY)
def test_a_short_trial_leaves_a_whole_record(data_set: tuple[str, Path], framework: str, tmp_path: Path):
    task, data = data_set
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    record = run(task, data=data, store=Store(tmp_path), framework=framework)
    assert record.status == "ok"
    assert record.steps == 2
    assert len(record.data_fingerprint) == 64
    assert 0 <= record.quality <= 1
    assert 0 < record.update_ratio <= 1
    assert record.flops_per_sequence > 0
    assert min(record.inference_milliseconds, record.inference_milliseconds_batch_1) > 0
    assert record.wait_milliseconds >= 0


@pytest.mark.parametrize("framework", COMPILED_SLOWLY)
@pytest.mark.parametrize("data_set", ["charades"], indirect=True)
def test_padding_counts_neither_as_a_step_nor_as_an_update(data_set: tuple[str, Path], framework: str, tmp_path: Path):
    task, data = data_set
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    store = Store(tmp_path)
    plain = run(task, data=data, store=store, framework=framework, cell="gru", options={"length": 21})
    assert plain.updates == 7.5, "the test videos have 6 and 9 frames"
    assert plain.update_ratio == 1
    more = run(task, data=data, store=store, framework=framework, cell="gru", options={"length": 30})
    # More padding changes nothing: not the loss, not the quality, not the work.
    np.testing.assert_allclose(more.loss, plain.loss, rtol=1e-5)
    np.testing.assert_allclose(more.quality, plain.quality, rtol=1e-5)
    assert more.flops_per_sequence == plain.flops_per_sequence
