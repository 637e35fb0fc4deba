"""The errors that the commands print as one line, without a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impls.errors import nearest

if TYPE_CHECKING:  # what measures cells alone does without it
    from pydantic import BaseModel, ValidationError

LONGEST_SHOWN = 100  # characters of a value in an error


class UserError(Exception):
    """Something the user gave or lacks: what is wrong, where, and what to do."""


class SweepError(UserError):
    """A sweep file or a trial that cannot be run as written."""


class DataError(UserError):
    """A data set that is missing, or a file of it that is damaged."""


class DiskError(UserError):
    """A disk that does not take or give a file: full, read-only or gone. What was to be written is not at fault."""


class RecordError(UserError):
    """A record that cannot be read."""


class DamagedRecordError(RecordError):
    """A record that is not what was written: cut, edited, copied or otherwise not to be believed."""


class NewerRecordError(RecordError):
    """A record of a later version of the project."""


class LeaseError(UserError):
    """A trial that somebody else runs."""


class DeviceError(UserError):
    """A framework or device that this machine lacks."""


class ClusterError(UserError):
    """A cluster that is not there, or cannot run what it is asked to."""


class SpeedError(UserError):
    """Benchmarks that cannot be run as asked, or whose results cannot be read."""


def explain(error: ValidationError, model: type[BaseModel], *, where: str) -> str:
    """The first finding as `where: key: what is wrong`, and how many more there are."""
    findings = error.errors()
    first = findings[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = list(model.model_fields)
        said = f"unknown key {key!r}{nearest(key, known)} (keys: {', '.join(known) or 'none'})"
    elif first["type"] == "missing":
        said = f"the key {key!r} is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        said = f"{key} = {_shown(first['input'])}: {message}" if key else message
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{where}: {said}{more}"


def _shown(value: object) -> str:
    """A value as its error names it, at a length that a line can hold."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no number so long
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
