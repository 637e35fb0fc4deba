"""Checkpoints: what is read is what was written, or is refused by name; nothing read is executed."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.records.stretch import Stretch
from bench.train import checkpoint as module
from bench.train.checkpoint import (
    FORMAT,
    Checkpoint,
    CheckpointError,
    Header,
    newest_checkpoint,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from bench.train.conditions import SOURCES, code_checksum_now
from impls.parameters import checksum

CONDITIONS = {"code": "abc", "threads": "2"}
ARRAYS = {
    "learner/parameters/weights": np.linspace(0.0, 1.0, 6, dtype=np.float32).reshape(2, 3),
    "learner/steps": np.asarray(7, np.int64),
    "empty": np.zeros(0),
}
STRETCH = Stretch(start_step=0, end_step=7, seconds=1.5, environment={"cores": 2})


def made(step: int = 7, *, trial_id: str = "mine", **changes: Any) -> Checkpoint:
    header = {"trial_id": trial_id, "step": step, "conditions": CONDITIONS, "stretches": (STRETCH,)}
    facts = {"curve": [{"step": 7, "loss": 0.1 + 0.2, "quality": 1e-300}], "best_step": 7}
    return Checkpoint(header=Header.model_validate({**header, "facts": facts, **changes}), arrays=ARRAYS)


def assert_same(got: Checkpoint, wanted: Checkpoint) -> None:
    assert got.header == wanted.header
    assert list(got.arrays) == list(wanted.arrays)
    for name, array in wanted.arrays.items():
        np.testing.assert_array_equal(got.arrays[name], array, err_msg=name, strict=True)


def newest(folder: Path, **changes: str) -> tuple[Checkpoint | None, list[str]]:
    said: list[str] = []
    conditions = CONDITIONS | changes
    return newest_checkpoint(folder, trial_id="mine", conditions=conditions, say=said.append), said


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, made())
    assert path.name == "checkpoint-7.npz"
    assert_same(read_checkpoint(path, trial_id="mine"), made())


def test_the_newest_two_stay_by_number(tmp_path: Path) -> None:
    for step in (8, 9, 10):
        write_checkpoint(tmp_path, made(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10.npz", "checkpoint-9.npz"]
    found, said = newest(tmp_path)
    assert found is not None
    assert (found.header.step, said) == (10, [])
    remove_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())


def test_those_that_were_left_out_do_not_crowd_out_new_ones(tmp_path: Path) -> None:
    for step in (100, 200):
        (tmp_path / f"checkpoint-{step}.npz").write_bytes(b"not an archive")
    write_checkpoint(tmp_path, made(5))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5.npz"]


def test_the_one_before_a_damaged_one_is_used(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, made(6))
    path = write_checkpoint(tmp_path, made(7))
    path.write_bytes(path.read_bytes()[:-30])
    found, said = newest(tmp_path)
    assert found is not None
    assert_same(found, made(6))
    assert len(said) == 1
    assert said[0].startswith("checkpoint-7.npz is damaged (BadZipFile")


def test_a_foreign_one_is_left_out(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, made(trial_id="theirs"))
    assert newest(tmp_path) == (None, ["checkpoint-7.npz is of another trial, theirs; it is left out"])


def test_a_later_layout_is_left_out_whatever_it_holds(tmp_path: Path) -> None:
    header = json.dumps({"format": FORMAT + 1, "something": "new"}).encode()
    write_content(tmp_path / "checkpoint-7.npz", {"header": np.frombuffer(header, np.uint8)})
    found, said = newest(tmp_path)
    assert found is None
    assert said == ["checkpoint-7.npz was written by a later version (format 2, here 1); it is left out"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[1]", "Input should be a valid dictionary"),
        (b"{", "has no header that can be read"),
        (b"\xff\xff", "has no header that can be read"),
        (b"{}", "has no header that can be read ('format')"),
        (b'{"format": 1}', "the key 'trial_id' is missing"),
    ],
)
def test_a_header_that_means_nothing_is_named(tmp_path: Path, header: bytes, message: str) -> None:
    path = tmp_path / "checkpoint-7.npz"
    write_content(path, {"header": np.frombuffer(header, np.uint8)})
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, trial_id="mine")
    assert message in str(caught.value)
    assert "checkpoint-7.npz" in str(caught.value)


def test_other_conditions_start_anew_and_say_so(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, made())
    assert newest(tmp_path, threads="4") == (
        None,
        ["checkpoint-7.npz was written under other conditions (threads: 2, now 4); it is left out"],
    )


def test_nothing_read_is_executed(tmp_path: Path) -> None:
    """An array of objects is a pickle, which could run anything; so is a bare pickle under the name."""
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (ran,)

    path = tmp_path / "checkpoint-7.npz"
    content = {"header": np.asarray(Hostile(), dtype=object)}
    np.savez(path, allow_pickle=True, **content)
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        read_checkpoint(path, trial_id="mine")
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path, trial_id="mine")
    assert not ran.exists()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_gives_a_wrong_state(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes cut off, flipped or overwritten anywhere: the state that was written, or a refusal."""
    path = tmp_path / "checkpoint-7.npz"
    if not (tmp_path / "whole.npz").exists():
        shutil.copy(write_checkpoint(tmp_path, made()), tmp_path / "whole.npz")
    content = bytearray((tmp_path / "whole.npz").read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        got = read_checkpoint(path, trial_id="mine")
    except CheckpointError:
        return
    assert_same(got, made())


@pytest.mark.parametrize("part", ["header", "arrays/learner/parameters/weights", "arrays/empty"])
def test_content_that_was_changed_is_refused_though_the_archive_is_whole(tmp_path: Path, part: str) -> None:
    path = write_checkpoint(tmp_path, made())
    with np.load(path, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files}
    content[part] = np.ones_like(content[part]) if content[part].size else content[part].astype(np.float32)
    np.savez(path, **content)
    with pytest.raises(CheckpointError, match="does not have its checksum"):
        read_checkpoint(path, trial_id="mine")


def test_a_write_that_fails_leaves_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (5, 6):
        write_checkpoint(tmp_path, made(step))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module.np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, made(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-5.npz", "checkpoint-6.npz"]


@pytest.mark.parametrize("folder", SOURCES)
def test_the_codes_checksum_follows_every_file(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "room" / "code.py"
    path.parent.mkdir(parents=True)
    found = set()
    for content in ("a = 1\n", "a = 2\n"):
        path.write_text(content)
        found.add(code_checksum_now(tmp_path))
    path.rename(path.with_name("other.py"))
    found.add(code_checksum_now(tmp_path))
    assert len(found) == 3


def write_content(path: Path, content: dict[str, Any]) -> None:
    np.savez(path, **content, checksum=np.frombuffer(checksum(content).encode(), np.uint8))
