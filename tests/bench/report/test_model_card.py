"""The model card: trials whose parameters are kept, their numbers beside those of its seeds, how to load them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import RecordError
from bench.plan.trial import Trial
from bench.records.store import Store, write_arrays
from bench.records.upkeep.archive import archive
from bench.report.model_card import model_card
from tests.bench.records.test_archive import fill
from tests.bench.records.test_records import trial
from tests.bench.report.stored import ok_record, write_run

OwnTrial = Callable[..., Trial]
SEEDS = [trial(seed=seed) for seed in range(3)]
OTHER = [trial(seed=seed, framework="tensorflow") for seed in range(2)]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    for made, quality in zip([*SEEDS, *OTHER], (0.3, 0.1, 0.2, 0.5, 0.7), strict=True):
        fill(store, made, quality=quality, update_ratio=quality)
    archive("mine", [*SEEDS, *OTHER], results=store.results, target=tmp_path / "kept")
    return tmp_path / "kept"


def rows(card: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines() if line.startswith("| `")]


def test_the_best_seed_of_each_row_stands_beside_the_mean_of_all(kept: Path) -> None:
    first, second = rows(model_card(kept))
    assert (first[0], first[2], first[4]) == (f"`{SEEDS[1].id}`", "PyTorch", "1")
    assert first[5:] == ["0.1000", "0.20 ± 0.10", "10", "20 ± 10", "3"]
    assert (second[0], second[2]) == (f"`{OTHER[0].id}`", "TensorFlow")
    assert second[5:] == ["0.5000", "0.60 ± 0.14", "50", "60 ± 14", "2"]


def test_the_card_says_how_to_load_from_its_own_folder(kept: Path) -> None:
    assert f'trained_layer("{kept.as_posix()}/trials/<trial id>", "pytorch")' in model_card(kept)


def test_a_trial_that_did_not_end_ok_enters_no_mean_and_is_counted(kept: Path) -> None:
    fill(Store(kept), trial(seed=7), quality=None, update_ratio=None, status="diverged")
    card = model_card(kept)
    assert rows(card)[0][5:] == ["0.1000", "0.20 ± 0.10", "10", "20 ± 10", "3 of 4"]
    assert "| of seeds that ended ok | updates (%) | of seeds that ended ok | seeds |" in card
    assert "all its seeds" not in card


def test_a_seed_that_ended_ok_without_a_number_leaves_no_mean(kept: Path) -> None:
    fill(Store(kept), trial(seed=7), quality=float("nan"), update_ratio=0.5)
    assert rows(model_card(kept))[0][5:] == ["0.1000", "no number", "10", "28 ± 17", "4"]


def test_what_markdown_would_read_as_marks_is_shown_as_it_stands(tmp_path: Path, own_trial: OwnTrial) -> None:
    store = Store(tmp_path)
    for of in map(own_trial, ("a|b <img src=x>", "c")):
        made = ok_record(of, quality=0.5, finished="2018-04-30T12:00:00+00:00")
        write_run(store, made.model_copy(update={"quality_metric": "hits|[misses]"}))
        write_arrays(store.folder_of(of.id) / "best.npz", {"a": np.zeros(2)})
    card = model_card(tmp_path)
    assert r"## mine, T = 64, value = a\|b &lt;img src=x&gt;" in card.splitlines()
    assert r" | hits\|\[misses\] ↑ | " in card


def test_without_parameters_there_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no record"):
        model_card(tmp_path)
