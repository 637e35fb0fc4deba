"""The model card: trials whose parameters are kept, their numbers beside those of all seeds, how to load them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import RecordError
from bench.records.store import Store
from bench.records.upkeep.archive import archive
from bench.report.model_card import model_card
from tests.bench.records.test_archive import fill
from tests.bench.records.test_records import trial

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


def test_a_trial_that_did_not_end_ok_enters_no_mean(kept: Path) -> None:
    fill(Store(kept), trial(seed=7), quality=None, update_ratio=None, status="diverged")
    assert rows(model_card(kept))[0][5:] == ["0.1000", "0.20 ± 0.10", "10", "20 ± 10", "3"]


def test_without_parameters_there_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no record"):
        model_card(tmp_path)
