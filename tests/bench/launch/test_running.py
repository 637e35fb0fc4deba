"""A sweep as one call: what it refuses, what it removes, what it lists, and what it says where nothing is to be run."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.errors import DeviceError, DiskError
from bench.launch.local.local_executor import LocalExecutor
from bench.launch.running import plan, run_sweep
from bench.machine import devices
from bench.machine.disk import remove_folder
from bench.plan.sweep import Sweep
from bench.plan.trial import Trial
from bench.records.format import SCHEMA
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.running.attempt import Attempt, attempts
from bench.records.store import Store
from bench.records.upkeep.archive import archive
from bench.records.upkeep.merge import merge
from tests.bench.records.test_leases import taken
from tests.bench.records.test_records import record, rewrite, trial


def run(results: Path, *trials: Trial, sweep: Sweep | None = None, **options: Any) -> str:
    """Runs them without a process of their own, so that nothing may be missing; what was printed."""
    console = Console(file=StringIO(), width=40)
    run_sweep(
        sweep or Sweep(name="mine", description="", trials=trials),
        store=Store(results),
        data=results,
        executor=LocalExecutor(workers=1, data=results),
        console=console,
        **options,
    )
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_record_that_is_to_be_made_anew_stays_where_the_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(wanted: Any, *, gpus: Any) -> None:
        raise DeviceError(f"none of {sorted(wanted)}")

    monkeypatch.setattr(devices, "check", refuse)
    store = Store(tmp_path)
    store.write(record(trial()))
    with pytest.raises(DeviceError, match="pytorch"):
        run(tmp_path, trial(), anew=True)
    assert store.read(trial().id) is not None


@pytest.mark.parametrize("name", ["runs[new]", "runs[/new]", "a folder of a long name that no narrow window holds"])
def test_the_folder_of_the_records_is_named_as_it_is(tmp_path: Path, name: str) -> None:
    Store(tmp_path / name).write(record(trial()))
    assert run(tmp_path / name, trial()) == f"sweep mine: its one trial is done, records in {tmp_path / name}/trials\n"


def test_a_file_in_the_place_of_the_results_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"file: a file stands in its place; .*choose another folder"):
        write_listing(tmp_path / "file", Listing(sweep="mine", trials=()))
    with pytest.raises(DiskError, match="its folder is no folder"):
        write_listing(tmp_path / "file" / "results", Listing(sweep="mine", trials=()))


def test_a_plan_shows_ids_states_and_estimates_whole_however_long_the_labels_are(tmp_path: Path) -> None:
    options = {"activation": "relu", "initial_state": "zeros", "gate": "bernoulli", "update_bias": 0.5}
    several = [
        trial(cell="skip_lstm", **options, protocol={"steps": 9, "learning_rate_schedule": schedule, **protocol})
        for schedule in ("linear", "cosine")
        for protocol in ({"dropout": 0.5, "clip_norm": 0}, {"dropout": 0.25, "clip_norm": 0})
    ]
    several += [trial(cell="lstm", units=units) for units in (8, 16)]
    console = Console(file=StringIO(), width=60)
    plan(Sweep(name="mine", description="", trials=tuple(several)), store=Store(tmp_path), data=tmp_path, workers=1,
         console=console)  # fmt: skip
    assert isinstance(console.file, StringIO)
    told = console.file.getvalue()
    assert "…" not in told
    for one in several:
        (line,) = (line for line in told.splitlines() if one.id in line)
        assert re.search(r" to run +\d", line)
    words = " ".join(re.sub(r"[0-9a-f]{16}| to run .*", "", told).split())
    for schedule in ("linear", "cosine"):
        for dropout in ("0.5", "0.25"):
            assert f"seed=0 learning_rate_schedule={schedule} dropout={dropout}" in words
    assert "pytorch seed=0 units=8" in words
    assert "pytorch seed=0 units=16" in words


def planned(results: Path, *trials: Trial, workers: int = 1) -> str:
    """The last line of their plan, where records are missing."""
    console = Console(file=StringIO(), width=40)
    plan(Sweep(name="mine", description="", trials=trials), store=Store(results), data=results, workers=workers,
         console=console)  # fmt: skip
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()[-1]


def test_a_plan_says_what_it_cannot_estimate_and_why(tmp_path: Path) -> None:
    without_data = [trial(task="mnist", options={}, seed=seed) for seed in (0, 1)]
    on_gpu = trial(device="cuda")
    no_data = "the data of 2 trials are not here"
    no_gpu = "no estimate for a GPU before a trial like it has run there (1 trial)"
    assert planned(tmp_path, *without_data) == f"2 trials, 2 to run, no estimate yet: {no_data}"
    assert planned(tmp_path, *without_data, on_gpu) == f"3 trials, 3 to run, no estimate yet: {no_data}; {no_gpu}"
    said = planned(tmp_path, *without_data, on_gpu, trial())
    assert said.startswith("4 trials, 4 to run, about ")
    assert said.endswith(f" with 1 worker (an estimate); besides: {no_data}; {no_gpu}")


def test_no_number_of_workers_is_faster_than_the_longest_trial(tmp_path: Path) -> None:
    Store(tmp_path).write(record(trial(seed=7), total_seconds=300.0))
    Store(tmp_path).write(record(trial(seed=7, cell="gru"), total_seconds=100.0))
    trials = [trial(), trial(seed=1), trial(cell="gru")]
    told = {1: "11 min 40 s with 1 worker", 2: "5 min 50 s", 3: "5 min 00 s", 10**6: "5 min 00 s"}
    for workers, expected in told.items():
        assert f"to run, about {expected}" in planned(tmp_path, *trials, workers=workers)


def test_a_sweep_whose_name_is_too_long_for_its_files_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="its name is too long for the disk; give it a shorter one"):
        write_listing(tmp_path, Listing(sweep=248 * "a", trials=()))


def test_where_trials_are_left_alone_it_is_not_said_that_they_are_done(tmp_path: Path) -> None:
    path = Store(tmp_path).write(record(trial()))
    rewrite(path, schema=SCHEMA + 1, taste="sweet")
    Store(tmp_path).write(record(trial(seed=1)))
    assert "sweep mine: nothing to run, 0 of 1 trial done and 1 left alone" in run(tmp_path, trial())
    assert "nothing to run, 1 of 2 trials done and 1 left alone" in run(tmp_path, trial(), trial(seed=1))


def test_a_link_in_the_place_of_a_trial_goes_alone(tmp_path: Path) -> None:
    kept = Store(tmp_path / "kept").write(record(trial()))
    place = tmp_path / "results" / "trials" / trial().id
    place.parent.mkdir(parents=True)
    place.symlink_to(kept.parent)
    remove_folder(place)
    assert not place.is_symlink()
    assert kept.is_file()
    place.symlink_to(kept.parent)
    attempt = Attempt(tmp_path / "results", lease=taken(tmp_path / "results", trial().id))
    attempt.start()
    Store(tmp_path / "kept").write(record(trial(), status="failed"))
    attempt.write(record(trial()))
    attempt.end()
    assert not place.is_symlink()
    assert not attempts(tmp_path / "results")
    assert kept.is_file()


def test_a_sweep_is_listed_whole_however_it_was_narrowed(tmp_path: Path) -> None:
    trials = (trial(), trial(seed=1), trial(cell="gru"))
    sweep = Sweep(name="mine", description="", trials=trials)
    halves = []
    for seed in (0, 1):
        results = tmp_path / str(seed)
        narrowed = sweep.narrowed([f"seed={seed}"])
        for one in narrowed.trials:
            Store(results).write(record(one))
        run(results, sweep=narrowed.narrowed(["cell=lstm"]))
        halves.append(results)
    assert sweep.of(trials[1]).ids == sweep.ids
    assert merge(halves[0], halves[1]).refused == []
    listing = read_listing(halves[0], "mine")
    assert listing is not None
    assert listing.trials == sweep.ids == tuple(one.id for one in trials)


def test_a_sweep_on_another_device_is_listed_as_what_it_is_there() -> None:
    trials = (trial(), trial(device="cuda"), trial(seed=1, device="cuda", precision="tf32"))
    sweep = Sweep(name="mine", description="", trials=trials)
    moved = sweep.narrowed(["precision=float32"]).on("cpu")
    assert [one.id for one in moved.trials] == [trial().id]
    assert len(moved.ids) == 2, "those that differed in the device alone are one"
    assert sweep.narrowed(["seed=0"]).on("cuda").ids == (trials[1].id, trials[2].id)


def test_an_archive_of_a_part_lists_the_whole_sweep(tmp_path: Path) -> None:
    sweep = Sweep(name="mine", description="", trials=(trial(), trial(seed=1)))
    Store(tmp_path / "results").write(record(trial()))
    archive("mine", [trial()], results=tmp_path / "results", target=tmp_path / "kept", listed=sweep.ids)
    listing = read_listing(tmp_path / "kept", "mine")
    assert listing is not None
    assert listing.trials == sweep.ids
