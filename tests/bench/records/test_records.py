"""Records and their store: atomic, resumable, and loud about what cannot be read."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.errors import DamagedRecordError, NewerRecordError, RecordError
from bench.machine.disk import write_atomically
from bench.plan.trial import Trial, build_trial
from bench.records.format import SCHEMA, checksum, decode
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.record import Record, failure
from bench.records.store import Store, write_curve


def trial(**changes: Any) -> Trial:
    content = {"task": "adding", "cell": "lstm", "framework": "pytorch"}
    return build_trial({**content, **changes}, where="test")


def record(of: Trial, **changes: Any) -> Record:
    made = failure(of, status="ok", error="")
    return made.model_copy(update={"finished": "2018-04-30T12:00:00+00:00", **changes})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written = record(trial(units=[16, 24]), quality=0.25, updates=3.5)
    store.write(written)
    assert store.read(written.trial_id) == written
    assert store.survey().records == {written.trial_id: written}


def test_a_record_is_dated_when_it_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(trial(), finished=""))
    written = store.read(trial().id)
    assert written is not None
    assert written.finished.endswith("+00:00")


def test_a_record_tells_its_trial_whole() -> None:
    for made in (
        trial(),
        trial(cell="lstm", period=5),
        trial(task="digits", cell="skip_gru", units=[3, 4], budget_cost=1e-4, seed=5),
    ):
        assert Record.model_validate(record(made).model_dump(mode="json")).trial == made


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(record(trial(), loss=float("nan"), quality=float("inf")))
    content = json.loads(path.read_text())
    assert content["loss"] is None
    assert content["quality"] is None


def test_text_that_no_file_takes_is_told_by_its_numbers(tmp_path: Path) -> None:
    """Such as the name of a file that is no UTF-8; a record from before that was written is read so too."""
    store, odd = Store(tmp_path), record(trial(), error="no file caf\udce9", environment={"variables": ["\ud800"]})
    path = store.write(odd)
    content = {"schema": SCHEMA, **odd.model_dump(mode="json")}
    for text in (path.read_text(), json.dumps({**content, "checksum": checksum(content)})):
        path.write_text(text)
        read = store.read(trial().id)
        assert read is not None
        assert (read.error, read.environment) == (r"no file caf\udce9", {"variables": [r"\ud800"]})


@pytest.mark.parametrize("depth", [300, 600, 900])
def test_a_record_that_is_nested_deeply_is_read_or_named(tmp_path: Path, depth: int) -> None:
    store, nested = Store(tmp_path), "[" * depth + "]" * depth
    path = store.write(record(trial(), finished="", environment={"x": "here"}))
    content = json.loads(path.read_text().replace('"here"', nested))
    del content["checksum"]
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))
    found = store.survey()
    assert (trial().id in found.records) != ("nested too deeply" in found.damaged.get(trial().id, ""))


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """Whoever reads a pipe waits for ever."""
    store = Store(tmp_path)
    path = store.write(record(trial()))
    path.unlink()
    path.symlink_to("/dev/null")
    assert store.survey().left_alone == {
        trial().id: f"{path}: cannot be read (it is no regular file); the record is left alone"
    }


def test_missing_are_those_without_a_record_and_those_that_failed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [trial(seed=seed) for seed in range(5)]
    for made, status in zip(trials, ("ok", "diverged", "failed", "timeout"), strict=False):
        store.write(record(made, status=status))
    assert store.missing(trials) == trials[2:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", "has neither schema nor checksum"),
        ("[]", "not a record"),
        ("[" * 100_000, "not valid JSON"),
        ("\xff", "not valid JSON"),
        ('{"schema": true}', "schema = True is no version"),
        ('{"schema": 2}', "was changed after it was written"),
        ('{"sweep": "mine"}', "the key 'task' is missing"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    store = Store(tmp_path)
    path = store.write(record(trial()))
    path.write_text(text)
    with pytest.raises(DamagedRecordError) as caught:
        store.read(trial().id)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_a_damaged_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(record(trial()))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedRecordError, match=f"{re.escape(str(path))}: not text"):
        store.read(trial().id)
    assert store.missing([trial()]) == [trial()]


def rewrite(path: Path, **changes: Any) -> None:
    """Edits a record as a person would."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=2))


def test_an_edited_record_is_not_believed_and_stops_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    edited, sound = trial(), trial(seed=1)
    rewrite(store.write(record(edited, quality=0.25)), quality=0.01)
    store.write(record(sound, quality=0.25))
    found = store.survey()
    assert list(found.records) == [sound.id]
    assert "was changed after it was written" in found.damaged[edited.id]
    assert store.missing([edited, sound]) == [edited]


def test_the_checksum_is_over_everything_that_a_record_tells(tmp_path: Path) -> None:
    path = Store(tmp_path).write(record(trial(), quality=0.25))
    content = json.loads(path.read_text())
    for name, value in content.items():
        if name == "schema":
            continue
        changed = {**content, name: not value if isinstance(value, bool) else f"{value} and more"}
        with pytest.raises(DamagedRecordError, match="was changed after it was written"):
            decode(json.dumps(changed), trial_id=trial().id, where=name)
    assert decode(json.dumps(content), trial_id=trial().id, where="as it was").quality == 0.25


def test_a_copied_record_does_not_count_as_another_trial(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(trial()))
    shutil.copytree(store.folder_of(trial().id), store.folder_of(trial(seed=1).id))
    assert f"is the record of trial {trial().id}" in store.survey().damaged[trial(seed=1).id]


def test_a_records_id_is_that_of_its_trial(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(trial(), trial=trial(seed=7)))  # sealed, but the seed is not the one that was hashed
    assert f"its trial's id is {trial(seed=7).id}" in store.survey().damaged[trial().id]


def test_a_record_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.write(record(trial()))
    rewrite(path, schema=SCHEMA + 1, taste="sweet")
    with pytest.raises(NewerRecordError, match="update the project"):
        store.read(trial().id)
    assert store.missing([trial()]) == []
    assert list(store.survey().left_alone) == [trial().id]


@pytest.mark.parametrize("of_trial", [False, True])
def test_a_sealed_record_that_tells_more_is_left_alone_too(tmp_path: Path, of_trial: bool) -> None:
    """Fields were added under this schema's number: a version from before them takes no such record for damaged."""
    store = Store(tmp_path)
    path = store.write(record(trial()))
    content = json.loads(path.read_text())
    (content["trial"] if of_trial else content)["taste"] = "sweet"
    rewrite(path, trial=content["trial"], taste=content.get("taste"))
    assert list(store.survey().damaged) == [trial().id], "nobody sealed it"
    content.pop("checksum")
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))
    with pytest.raises(NewerRecordError, match=r"taste.*update the project; the record is left alone"):
        store.read(trial().id)
    assert store.missing([trial()]) == []
    content["quality"] = "much"
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))
    assert list(store.survey().damaged) == [trial().id], "that is no field's value in any version"


def flat(written: Record) -> dict[str, Any]:
    """A record as the first two schemas held it: the trial's fields among its own, options with their defaults."""
    content = written.model_dump(mode="json")
    asked, options = content.pop("trial"), content.pop("task_options")
    return {**content, **asked, "options": options}


OLDER = [
    trial(),
    trial(
        task="frequency", cell="skip_gru", units=[3, 4], budget_cost=1e-4, options={"sample_milliseconds": 0.5}, seed=5
    ),
]


@pytest.mark.parametrize("made", OLDER, ids=["defaults", "options"])
def test_a_record_of_the_first_schema_is_read(tmp_path: Path, made: Trial) -> None:
    store = Store(tmp_path)
    written = record(made, quality=0.25)
    store.write(written).write_text(json.dumps({**flat(written), "sweep": "mine"}))
    assert store.read(made.id) == written


@pytest.mark.parametrize("made", OLDER, ids=["defaults", "options"])
def test_a_record_of_the_second_schema_is_read_if_its_checksum_is_right(tmp_path: Path, made: Trial) -> None:
    store = Store(tmp_path)
    written = record(made, quality=0.25)
    content = {"schema": 2, **flat(written)}
    path = store.write(written)
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))
    assert store.read(made.id) == written
    rewrite(path, quality=0.2)
    assert "was changed after it was written" in store.survey().damaged[made.id]


def test_what_older_records_lack_stands_as_it_was_then(tmp_path: Path) -> None:
    """No schedule, period or precision, and the best validation reported; ids are those of today's defaults."""
    store = Store(tmp_path)
    written = record(trial(), quality=0.25)
    content = flat(written)
    del content["reported"], content["period"], content["precision"], content["protocol"]["learning_rate_schedule"]
    store.write(written).write_text(json.dumps({**content, "sweep": "mine"}))
    read = store.read(trial().id)
    assert read is not None
    assert (read.reported, read.trial) == ("best_validation", trial())


def test_what_is_set_aside_is_kept_with_the_reason(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in (1, 2):
        store.write(record(trial()))
        place = store.set_aside(trial().id, reason="it was edited")
        assert place == tmp_path / "quarantine" / f"{trial().id}-{number}"
        assert (place / "reason.txt").read_text() == "it was edited\n"
        assert (place / "record.json").is_file()
    assert store.trial_ids() == []


def test_a_sweep_is_a_list_of_trials(tmp_path: Path) -> None:
    assert read_listing(tmp_path, "mine") is None
    listing = Listing(sweep="mine", trials=("b", "a"), command="python run_all.py mine.toml", file="mine.toml")
    path = write_listing(tmp_path, listing)
    assert path == tmp_path / "mine.json"
    assert read_listing(tmp_path, "mine") == listing
    path.write_text("{")
    with pytest.raises(RecordError, match=re.escape(str(path))):
        read_listing(tmp_path, "mine")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_curve_has_a_row_an_evaluation(tmp_path: Path) -> None:
    write_curve(tmp_path / "curve.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
    assert (tmp_path / "curve.csv").read_text().splitlines() == ["step,loss", "1,0.5", "2,0.25"]
