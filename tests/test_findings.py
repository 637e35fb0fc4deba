"""The tables of docs/findings.md: every number in them is what the committed records and times come to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from bench.plan import sweep as sweeps
from bench.records.record import Record
from bench.records.store import Store
from bench.report.names import cell_name

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
FRAMEWORKS = ("pytorch", "tensorflow")
CELLS = {cell_name(cell): cell for cell in ("lstm", "gru", "skip_lstm", "skip_gru")}
SETTINGS = {"λ": "budget_cost", "p_skip": "p_skip"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of a section's tables, without their heads; `number` counts the section's tables."""
    section = FINDINGS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^ *\|.*\n)+", section, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in blocks[number].splitlines()]
    assert len(rows) > 2, heading
    return rows[2:]


@cache
def records(sweep: str) -> tuple[Record, ...]:
    found = Store(REFERENCE).survey(trial.id for trial in sweeps.load(sweep).trials).records
    return tuple(record for record in found.values() if record.status == "ok")


def seeds_of(row: str, *, sweep: str, framework: str, length: int | None = None) -> list[Record]:
    """The records that a row such as `Skip LSTM, λ = 1e-4` or `GRU, every 2nd step` stands for, by seed."""
    name, *rest = row.split(", ")
    asked: dict[str, float] = {"budget_cost": 0.0, "p_skip": 0.0, "period": 1}
    for part in rest:
        setting, told = part.split(" = ") if " = " in part else ("period", NUMBER.findall(part)[0])
        asked[SETTINGS.get(setting, setting)] = float(told)
    found = [
        record
        for record in records(sweep)
        if (record.trial.cell, record.trial.framework) == (CELLS[name], framework)
        and all(getattr(record.trial, key) == value for key, value in asked.items())
        and length in (None, record.length)
    ]
    return sorted(found, key=lambda record: record.trial.seed)


def told_of(values: Sequence[float], told: str) -> str:
    """The mean, or mean ± standard deviation, with as many decimals as `told` has."""
    decimals = [len(number.partition(".")[2]) for number in NUMBER.findall(told)]
    texts = [f"{mean(values):.{decimals[0]}f}"]
    if "±" in told:
        texts.append(f"{stdev(values):.{decimals[1]}f}")
    return " ± ".join(texts)


def percent(found: Sequence[Record], measure: str) -> list[float]:
    return [100 * value for record in found if (value := getattr(record, measure)) is not None]


def test_the_hours_of_all_trials() -> None:
    hours = sum(record.total_seconds or 0 for record in Store(REFERENCE).survey().records.values()) / 3600
    assert f"the recorded trials took {hours:.0f} hours" in FINDINGS


def test_longer_training() -> None:
    """In prose: the share of updates after 8,000 steps, then after 5,000, in PyTorch."""
    for cell in ("Skip LSTM", "Skip GRU"):
        longer, shorter = (
            percent(seeds_of(f"{cell}, λ = 1e-5", sweep=sweep, framework="pytorch"), "update_ratio")
            for sweep in ("table1-cpu-longer", "table1-cpu")
        )
        assert len(longer) == len(shorter) == 5
        assert re.search(rf"{told_of(longer, '0.0 ± 0.0')} % \({cell}(?: in\s+PyTorch)?, {mean(shorter):.1f}", FINDINGS)


def test_table_2() -> None:
    for row, _, _, *told in table("Images, pixel by pixel (Table 2)"):
        for framework, (accuracy, updates) in zip(FRAMEWORKS, (told[:2], told[2:]), strict=True):
            found = seeds_of(row, sweep="table2-cpu", framework=framework)
            assert len(found) == 5
            assert told_of(percent(found, "quality"), accuracy) == accuracy, (row, framework)
            assert told_of(percent(found, "update_ratio"), updates) == updates, (row, framework)


@pytest.mark.parametrize(("number", "length"), [(0, 100), (1, 200)])
def test_table_4(number: int, length: int) -> None:
    for row, _, *told in table("The frequency task (Table 4)", number):
        for framework, text in zip(FRAMEWORKS, told, strict=True):
            found = seeds_of(row, sweep="table4-cpu", framework=framework, length=length)
            samples, _, solved = text.partition(", ")
            assert told_of([record.updates or 0 for record in found], samples) == samples, (row, framework)
            assert f"{sum(record.solved is True for record in found)} of {len(found)}" == solved, (row, framework)


def test_digits() -> None:
    for name, setting, *told in table("Digits"):
        row = f"{name}, λ = {setting}" if setting else name
        for number, framework in enumerate(FRAMEWORKS):
            found = seeds_of(row, sweep="digits", framework=framework)
            assert len(found) == 10
            for measure, text in (("quality", told[number]), ("update_ratio", told[2 + number])):
                assert told_of(percent(found, measure), text) == text, (row, framework, measure)


def test_pairs_and_null_pairs() -> None:
    for row, *told in table("Frameworks"):
        task, scale = row.split(",")[0], 1 if row.startswith("adding") else 100
        found = [
            distances(measure, apart=apart, task=task, skips=measure == "update_ratio")
            for measure in ("quality", "update_ratio")
            for apart in ("framework", "engine")
        ]
        assert [len(each) for each in found] == [40, 40, 20, 20]
        scaled = [[scale * each for each in found[0]], [scale * each for each in found[1]]]
        scaled += [[100 * each for each in distance] for distance in found[2:]]
        assert [told_of(values, text) for values, text in zip(scaled, told, strict=True)] == told, row


def distances(measure: str, *, apart: str, task: str, skips: bool) -> list[float]:
    """How far the two trials of a seed are from each other that differ in nothing but this."""
    pairs: dict[object, list[float]] = {}
    for record in records("frameworks"):
        trial = record.trial
        if trial.task == task and (trial.cell.startswith("skip") or not skips):
            same = trial.model_copy(update={apart: getattr(records("frameworks")[0].trial, apart)})
            pairs.setdefault(same.id, []).append(getattr(record, measure))
    return [abs(one - other) for one, other in pairs.values()]


def test_times_of_digits() -> None:
    ratios = pd.read_csv(ROOT / "reports" / "reference" / "digits" / "skipping.csv")
    ratios = ratios[~ratios["other_load"]]  # both sides ran beside like load
    named = ratios["configuration"].str.replace(r"(?<=λ = )\S+", lambda found: str(float(found[0])), regex=True)
    medians = ratios.groupby([named, "framework"])[["step_milliseconds_ratio", "inference_milliseconds_ratio"]].median()
    for row, _, *told in table("What skipping saves", 2):
        name, between, setting = row.partition("λ = ")
        configuration = f"{name}{between}{float(setting)}" if setting else row
        found = [value for framework in FRAMEWORKS for value in medians.loc[configuration, framework]]
        assert [f"{value:.2f}" for value in found] == told, row


STEPS = [(step, framework) for step in ("training", "inference") for framework in FRAMEWORKS]
MEASURED = pd.read_csv(ROOT / "reports" / "reference" / "speed" / "speed.csv")


def measured(size: str, cell: str, framework: str, step: str) -> pd.DataFrame:
    """The times of a cell and its baselines at a batch and length such as `256, 784`, by subject and update ratio."""
    batch_size, length = map(int, size.split(", "))
    of = {"batch_size": batch_size, "length": length, "cell": cell, "framework": framework, "step": step}
    return MEASURED[(MEASURED[list(of)] == pd.Series(of)).all(axis="columns")].set_index(["subject", "updates_every"])


def written_as(values: Sequence[float], told: str) -> str:
    """The numbers with as many decimals as each has in `told`, and what stands between them there."""
    numbers = iter(values)
    return NUMBER.sub(lambda found: f"{next(numbers):.{len(found[0].partition('.')[2])}f}", told)


def test_ratios_of_the_speed_suite() -> None:
    size = ""
    for named, cell, *told in table("What skipping saves", 0):
        size = named or size
        for (step, framework), text in zip(STEPS, told, strict=True):
            if text:
                fast = measured(size, CELLS[cell], framework, step).loc["fast"]
                assert written_as(list(fast["native_ratio"]), text) == text, (size, cell, framework, step)


def test_milliseconds_of_the_speed_suite() -> None:
    for size, *told in table("What skipping saves", 1):
        for (step, framework), text in zip(STEPS, told, strict=True):
            if text:
                fast = measured(size, "skip_lstm", framework, step).loc["fast"]["milliseconds"]
                plain = measured(size, "lstm", framework, step)["milliseconds"]
                native = min(plain[subject, 1] for subject, _ in plain.index if subject.startswith("native"))
                assert written_as([native, *fast], text) == text, (size, framework, step)


def test_learned_skips_and_given_ones() -> None:
    cells = [(cell, framework) for cell in ("Skip LSTM", "Skip GRU") for framework in FRAMEWORKS]
    for updates, periodic, random, *learned in table("Is it worth learning when to skip?"):
        given = float(updates.partition(" / ")[0])
        for told, setting in ((periodic, f"every {100 / given:.0f}th step"), (random, f"p_skip = {1 - given / 100:g}")):
            found = [
                record.quality or 0
                for cell in ("LSTM", "GRU")
                for framework in FRAMEWORKS
                for record in seeds_of(f"{cell}, {setting}", sweep="ablations-skips", framework=framework)
            ]
            assert len(found) == 20
            assert told_of(found, told) == told, (updates, setting)
        texts = [text for cell in learned for text in cell.split(", ")]
        for (cell, framework), text in zip(cells, texts, strict=True):
            found = [
                record.quality or 0
                for record in records("ablations-skips")
                if (record.trial.cell, record.trial.framework) == (CELLS[cell], framework)
                and record.trial.budget_target * 100 / record.length == given
            ]
            assert len(found) == 5
            assert told_of(found, text) == text, (updates, cell, framework)
