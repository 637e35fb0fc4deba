"""Sweeps: TOML files of grids, expanded into trials and checked before anything runs.

A file holds an optional `description`, an optional `include` (names of other sweeps), optional `[defaults]` of its own
grids, and `[[grid]]` tables. Every key of a grid is a trial's field; a list is an axis, and a grid is the product of
its axes.
`[grid.options]` are the task's options, `[grid.protocol]` is a part of the protocol; they may hold axes too.
A stack's units are a list inside the list: `units = [[16, 24]]`.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import SweepError
from bench.plan.trial import Trial, build_trial, field_value
from bench.tasks import task_classes
from bench.tasks.protocol import Protocol
from impls.checks import check_precision
from impls.errors import CellError, nearest

SWEEPS = Path(__file__).parent / "sweeps"
SECTIONS = ("description", "include", "defaults", "grid")

# A sweep's name becomes that of its files in the folders of results and reports, beside these.
NAME = re.compile(r"\w[\w .+=,-]*")
TAKEN = ("again", "quarantine", "speed", "trials")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A named list of distinct trials, and the file that it was read from.

    Attributes:
        name: that of its file.
        description: one line.
        trials: those that are asked for.
        file: where it was read from.
        whole: all of its trials, where those asked for are a part of them; None where they are all.
    """

    name: str
    description: str
    trials: tuple[Trial, ...]
    file: str = ""
    whole: tuple[Trial, ...] | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of its trials, in order, whatever it was narrowed to: what it is listed as."""
        return tuple(trial.id for trial in (self.trials if self.whole is None else self.whole))

    def _part(self, trials: Iterable[Trial]) -> Sweep:
        return replace(self, trials=tuple(trials), whole=self.trials if self.whole is None else self.whole)

    def narrowed(self, conditions: Sequence[str]) -> Sweep:
        """The trials that meet every `key=value`; several values of one key are alternatives.

        Raises `SweepError` for a malformed condition, a key or value that no trial of the sweep has, with the nearest
        that is there, or when nothing is left.
        """
        wanted: dict[str, list[str]] = {}
        known = filter_keys()
        for condition in conditions:
            key, equals, value = condition.partition("=")
            if not equals or not key:
                raise SweepError(f"--where {condition}: write key=value, such as framework=pytorch")
            if key not in known:
                raise SweepError(f"--where {condition}: no trial has the key {key!r}{nearest(key, known)}")
            if not any(_meets(trial, {key: [value]}) for trial in self.trials):
                there = self._values(key)
                raise SweepError(
                    f"--where {condition}: no trial of sweep {self.name!r} has this value{nearest(value, there)} "
                    f"({key}: {', '.join(there) or 'none'})"
                )
            wanted.setdefault(key, []).append(value)
        kept = [trial for trial in self.trials if _meets(trial, wanted)]
        if not kept:
            raise SweepError(f"--where {' --where '.join(conditions)}: no trial of sweep {self.name!r} is left")
        return self._part(kept)

    def _values(self, key: str) -> list[str]:
        """The values of a key in this sweep, as `--where` takes them."""
        values = [_value(trial, key) for trial in self.trials]
        return list(dict.fromkeys(_written(value) for value in values if value is not None))

    def on(self, device: str) -> Sweep:
        """The same trials on another device; those that differed in the device alone become one.

        Raises `SweepError` for one that the device cannot run.
        """
        for trial in self.trials:
            try:
                check_precision(trial.precision, device=device)
            except CellError as error:
                raise SweepError(f"{self.name} on {device}: {error}") from None
        whole = None if self.whole is None else _moved(self.whole, device=device)
        return replace(self, trials=_moved(self.trials, device=device), whole=whole)

    def of(self, trial: Trial) -> Sweep:
        """One of the trials alone."""
        return self._part([trial])


def _moved(trials: Iterable[Trial], *, device: str) -> tuple[Trial, ...]:
    moved = [trial.model_copy(update={"device": device}) for trial in trials]
    return tuple({trial.id: trial for trial in moved}.values())


def filter_keys() -> list[str]:
    """The keys that `--where` knows: fields of trials, protocols and every task's options."""
    of_tasks = {key for task in task_classes().values() for key in task.Options.model_fields}
    return sorted({*Trial.model_fields, *Protocol.model_fields, *of_tasks} - {"options", "protocol"})


def _meets(trial: Trial, wanted: Mapping[str, list[str]]) -> bool:
    for key, values in wanted.items():
        have = _value(trial, key)
        if have is None or not any(_same(have, value) for value in values):
            return False
    return True


def _value(trial: Trial, key: str) -> Any:
    """A trial's value; None where it has no such key, or left it open."""
    try:
        return field_value(trial, key)
    except KeyError:
        return None


def _written(have: Any) -> str:
    """A value as `--where` takes it."""
    if isinstance(have, (tuple, list)):
        return "x".join(map(str, have))
    if isinstance(have, bool):
        return str(have).lower()
    return str(have)


def _same(have: Any, text: str) -> bool:
    if isinstance(have, (tuple, list)):
        return _written(have) == text.replace(",", "x")
    if isinstance(have, bool):
        return _written(have) == text.lower()
    if isinstance(have, (int, float)):
        try:
            return float(text) == have
        except ValueError:
            return False
    return str(have) == text


def available() -> list[str]:
    """Names of the sweeps that come with the project."""
    return sorted(path.stem for path in SWEEPS.glob("*.toml"))


def find(name: str, *, beside: Path | None = None) -> Path:
    """The file of a sweep, from its name or the path of a TOML file.

    Args:
        name: a sweep that comes with the project, or a path.
        beside: the folder of the sweep that includes this one, which a path may not leave; None for what a person
            typed, which may stand anywhere.

    Raises `SweepError`.
    """
    if name.endswith(".toml"):
        path = Path(name) if beside is None else beside / name
        try:
            outside = beside is not None and not path.resolve().is_relative_to(beside.resolve())
            there = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # no path at all: too long, a null byte, links in a circle
            raise SweepError(f"{name!r}: cannot be read: {error}") from None
        if outside:
            raise SweepError(f"include {name!r}: outside of {beside}; a sweep includes files of its own folder alone")
        if not there:
            raise SweepError(f"{path}: there is no such file")
        return path
    known = available()
    if name not in known:
        raise SweepError(f"unknown sweep {name!r}{nearest(name, known)} (sweeps: {', '.join(known)}, or a .toml file)")
    return SWEEPS / f"{name}.toml"


def _name(path: Path) -> str:
    """A sweep's name. Raises `SweepError` where it could not be that of a folder of results."""
    if not NAME.fullmatch(path.stem):
        raise SweepError(
            f"{str(path)!r}: a sweep is named after its file, whose name begins with a letter, digit or _ "
            "and goes on with these, spaces and . + = , -"
        )
    if path.stem in TAKEN:
        raise SweepError(f"{path}: {path.stem!r} is a folder of results with another meaning; rename the file")
    return path.stem


def load(name: str) -> Sweep:
    """Reads, expands and checks a sweep, given by name or path.

    Raises `SweepError` for unknown keys and names, values out of range, empty grids and duplicate trials: one line
    with the file, the key, and the nearest right name.
    """
    path = find(name)
    name = _name(path)
    trials: dict[str, tuple[Trial, str]] = {}
    description = _read(path).get("description", "")
    for trial, where in _expand(path, including=()):
        if trial.id in trials:
            raise SweepError(f"{where}: duplicate trial ({trial.label}), already given by {trials[trial.id][1]}")
        trials[trial.id] = (trial, where)
    listed = tuple(trial for trial, _ in trials.values())
    return Sweep(name=name, description=description, trials=listed, file=_told(path))


def _told(path: Path) -> str:
    """A sweep's file for its list, which may be handed on: from the project's root where it stands there."""
    if path.is_relative_to(SWEEPS):
        return path.relative_to(SWEEPS.parents[2]).as_posix()
    return str(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SweepError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path}: cannot be read: {error}") from None
    except (ValueError, RecursionError):
        raise SweepError(f"{path}: cannot be read: a number has too many digits, or brackets stand too deep") from None
    for key in content:
        if key not in SECTIONS:
            raise SweepError(f"{path}: unknown key {key!r}{nearest(key, SECTIONS)} (keys: {', '.join(SECTIONS)})")
    for key, kind in (("defaults", dict), ("grid", list), ("include", list), ("description", str)):
        right = isinstance(content.get(key, kind()), kind)
        if key == "grid":
            right = right and all(isinstance(grid, dict) for grid in content.get("grid", []))
        if not right:
            form = {"grid": "[[grid]]", "defaults": "[defaults]"}.get(key, f"{key} = …")
            raise SweepError(f"{path}: {key!r} must be written as {form} and hold a {kind.__name__}")
    if not content.get("description", "").isprintable():
        raise SweepError(f"{path}: 'description' holds a line break or another control character; write one line")
    return content


def _expand(path: Path, *, including: tuple[Path, ...]) -> Iterator[tuple[Trial, str]]:
    file = path.resolve()  # one file has many paths
    if file in including:
        raise SweepError(f"{path}: includes itself")
    content = _read(path)
    included, grids = content.get("include", []), content.get("grid", [])
    if not included and not grids:
        raise SweepError(f"{path}: the sweep is empty: give at least one [[grid]]")
    defaults = content.get("defaults", {})
    _check_keys(defaults, where=f"{path}: defaults")
    if defaults and not grids:
        raise SweepError(
            f"{path}: 'defaults' are of this file's own grids, and it has none: an included sweep keeps its values"
        )
    for other in included:
        yield from _expand(find(str(other), beside=path.parent), including=(*including, file))
    for number, grid in enumerate(grids, start=1):
        where = f"{path}: grid {number}"
        merged = {**defaults, **grid}
        for section in ("options", "protocol"):
            for table in (defaults, grid):
                if not isinstance(table.get(section, {}), dict):
                    raise SweepError(f"{where}: {section!r} must be a table, such as [grid.{section}]")
            if section in defaults or section in grid:
                merged[section] = {**defaults.get(section, {}), **grid.get(section, {})}
        for content_of_trial in _product(merged, where=where):
            yield build_trial(content_of_trial, where=where).in_one_form(), where


def _product(grid: Mapping[str, Any], *, where: str) -> Iterator[dict[str, Any]]:
    """Every combination of the axes of a grid."""
    _check_keys(grid, where=where)
    axes: dict[tuple[str, ...], list[Any]] = {}
    for key, value in grid.items():
        if key in ("options", "protocol"):
            axes.update({(key, inner): _values(inner_value) for inner, inner_value in value.items()})
        else:
            axes[(key,)] = _values(value)
    for path, values in axes.items():
        if not values:
            raise SweepError(f"{where}: empty grid: the key {'.'.join(path)!r} has no values")
    for combination in itertools.product(*axes.values()):
        trial: dict[str, Any] = {section: {} for section in ("options", "protocol") if section in grid}
        for path, value in zip(axes, combination, strict=True):
            if len(path) == 2:
                trial[path[0]][path[1]] = value
            else:
                trial[path[0]] = value
        yield trial


def _check_keys(table: Mapping[str, Any], *, where: str) -> None:
    known = list(Trial.model_fields)
    for key in table:
        if key not in known:
            raise SweepError(f"{where}: unknown key {key!r}{nearest(key, known)} (keys: {', '.join(known)})")


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
