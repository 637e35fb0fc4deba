"""What became of the mutants: how many a room, and a table of those that no test noticed."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult

from tests.mutants.rooms import room_of

EXPLAINED = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True)
class Fate:
    """One mutant: where it was made, the line before and after, and what the tests said."""

    room: str
    file: str
    line: int
    before: str
    after: str
    outcome: str  # killed, timeout, survived, explained or incompetent


def fate(item: WorkItem, result: WorkResult) -> Fate:
    """What became of a mutant that was tried."""
    [mutation] = item.mutations
    changed = [line for line in (result.diff or "").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    before = " ".join(line[1:].strip() for line in changed if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in changed if line.startswith("+"))
    outcome = str((result.test_outcome or TestOutcome.INCOMPETENT).value)
    if outcome == "killed" and result.output == "timeout":
        outcome = "timeout"
    file = mutation.module_path.as_posix()
    if outcome == "survived" and (file, before, after) in explained():
        outcome = "explained"
    return Fate(room_of(file).name, file, mutation.start_pos[0], before, after, outcome)


def explained() -> dict[tuple[str, str, str], str]:
    """The survivors that no test can notice, with the reason: what explained.toml says."""
    table = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("survivor", [])
    return {(entry["file"], entry["before"], entry["after"]): entry["reason"] for entry in table}


def page(fates: list[Fate], *, title: str) -> str:
    """Both tables in Markdown: the rooms with their counts, then the survivors."""
    outcomes = ("killed", "timeout", "survived", "explained", "incompetent")
    lines = [
        f"# {title}",
        "",
        f"| room | mutants | {' | '.join(outcomes)} |",
        "| --- |" + " ---: |" * (len(outcomes) + 1),
    ]
    for room in sorted({each.room for each in fates}):
        counts = Counter(each.outcome for each in fates if each.room == room)
        lines.append(f"| {room} | {counts.total()} | {' | '.join(str(counts[outcome]) for outcome in outcomes)} |")
    for each in sorted(fates, key=lambda each: (each.file, each.line, each.after)):
        if each.outcome in ("survived", "incompetent"):
            lines += ["", f"{each.file}:{each.line} ({each.outcome})", f"    - {each.before}", f"    + {each.after}"]
    return "\n".join(lines) + "\n"
