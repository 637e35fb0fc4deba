"""The sample of mutants: repeatable, spread over the rooms, each file with tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutants.rooms import ROOT, Room, read_rooms, room_of, sources
from tests.mutants.sample import sample
from tests.mutants.survivors import explained


def test_every_file_is_in_a_room() -> None:
    assert {room_of(path).name for path in sources()} == {room.name for room in read_rooms()}
    with pytest.raises(LookupError, match=r"bench/new/file\.py stands in no room of rooms\.toml"):
        room_of("bench/new/file.py")


@pytest.mark.parametrize("room", read_rooms(), ids=lambda room: room.files[0])
def test_every_room_names_tests_that_are_there(room: Room) -> None:
    named = [argument for argument in room.tests if argument.startswith("tests/")]
    assert named
    assert [path for path in named if not ROOT.joinpath(path).exists()] == []


def test_a_seed_is_a_sample() -> None:
    drawn = sample(seed=3, number=5, room="bench/plan")
    assert drawn == sample(seed=3, number=5, room="bench/plan")
    assert drawn == sample(seed=3, number=9, room="bench/plan")[:5], "more of them are these and others"
    assert {item.job_id for item in drawn}.isdisjoint(
        item.job_id for item in sample(seed=4, number=5, room="bench/plan")
    )
    assert len({(item.mutations[0].module_path, item.mutations[0].start_pos) for item in drawn}) == 5


def test_a_mutant_is_a_change_to_a_file_of_its_room() -> None:
    for item in sample(seed=0, number=10, room="bench/plan"):
        [mutation] = item.mutations
        path = mutation.module_path.as_posix()
        assert room_of(path).name == "bench/plan"
        source = ROOT.joinpath(path).read_text(encoding="utf-8")
        mutated = mutate_code(source, get_operator(mutation.operator_name)(), mutation.occurrence)
        assert mutated not in (None, source)


def test_types_signatures_and_flags_of_dataclasses_are_no_mutants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rooms", "sample"):
        monkeypatch.setattr(f"tests.mutants.{module}.ROOT", tmp_path)
    file = tmp_path / "bench" / "plan" / "few.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "def f(a: int | None, *b: int | str) -> int | str: ...\ndef g(a, *, b): ...\n"
        "c: int | str\n@dataclass(frozen=True)\nclass D: ...\n",
        encoding="utf-8",
    )
    assert {item.mutations[0].operator_name for item in sample(seed=0, number=9)} == {"core/RemoveDecorator"}
    file.write_text("c: int | str = 3\nd = 3 == c\n", encoding="utf-8")
    assert {item.mutations[0].start_pos for item in sample(seed=0, number=9)} == {(1, 15), (2, 4), (2, 6)}


def test_what_is_explained_still_stands() -> None:
    for file, before, after in explained():
        assert before in ROOT.joinpath(file).read_text(encoding="utf-8"), f"{file}: explain it anew or no longer"
        assert before != after
