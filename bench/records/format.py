"""The text of a record: JSON with the version of its schema and a checksum over its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench.errors import DamagedRecordError, NewerRecordError, SweepError, explain
from bench.machine.text import encodable
from bench.records.older import FLAT, UNSEALED, today
from bench.records.record import Record

# A field that is added to a record or a trial raises it: a version from before the field then leaves the record alone.
SCHEMA = 4
AGAIN = "delete it, or run its sweep again, which sets it aside"


def encode(record: Record) -> str:
    """The text of `record.json`. Infinite and NaN numbers become null, which JSON lacks; all text can be encoded."""
    content = {"schema": SCHEMA, **_plain(record.model_dump(mode="json"))}
    sealed = {"schema": SCHEMA, "checksum": checksum(content), **content}
    return json.dumps(sealed, indent=2, allow_nan=False) + "\n"


def decode(text: str, *, trial_id: str, where: str) -> Record:
    """The record of a trial, believed only if its checksum and its id are right.

    Args:
        text: of `record.json`, of this schema or an older one.
        trial_id: the trial that it must be of: the name of its folder.
        where: what to name in an error.

    Raises `NewerRecordError` for a later schema, or fields that this version does not know under a checksum that is
    right, and `DamagedRecordError` for all else that is wrong.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedRecordError(f"{where}: not valid JSON ({error}); {AGAIN}") from None
    if not isinstance(content, dict):
        raise DamagedRecordError(f"{where}: not a record; {AGAIN}")
    schema = content.pop("schema", UNSEALED)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < UNSEALED:
        raise DamagedRecordError(f"{where}: schema = {schema!r} is no version; {AGAIN}")
    if schema > SCHEMA and not _sealed_before(content):
        raise NewerRecordError(
            f"{where}: written by a later version of the project (schema {schema}, this one reads up to {SCHEMA}); "
            f"update the project; the record is left alone"
        )
    if schema == UNSEALED:
        if "sweep" not in content:  # every record of the first schema named one
            raise DamagedRecordError(f"{where}: has neither schema nor checksum; {AGAIN}")
        del content["sweep"]
    else:
        stated = content.pop("checksum", None)
        if schema > SCHEMA or stated != checksum({"schema": schema, **content}):
            raise DamagedRecordError(f"{where}: was changed after it was written (its checksum differs); {AGAIN}")
    if schema <= FLAT:
        try:
            content = today(content)
        except SweepError as error:
            raise DamagedRecordError(f"{where}: is of no trial ({error}); {AGAIN}") from None
    try:
        content = _plain(content)
    except RecursionError:
        raise DamagedRecordError(f"{where}: is nested too deeply for a record; {AGAIN}") from None
    return _checked(content, trial_id=trial_id, where=where, sealed=schema != UNSEALED)


def _sealed_before(content: dict[str, Any]) -> bool:
    """Whether the checksum is that of an earlier schema: then the number was changed, and no later version wrote it."""
    unsealed = {name: value for name, value in content.items() if name != "checksum"}
    return content.get("checksum") in [checksum({"schema": known, **unsealed}) for known in range(1, SCHEMA + 1)]


def checksum(content: dict[str, Any]) -> str:
    """64 hexadecimal digits over the content, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _checked(content: dict[str, Any], *, trial_id: str, where: str, sealed: bool) -> Record:
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        if sealed and all(finding["type"] == "extra_forbidden" for finding in error.errors()):
            key = ".".join(map(str, error.errors()[0]["loc"]))
            raise NewerRecordError(
                f"{where}: tells more than this version knows ({key!r}); update the project; the record is left alone"
            ) from None
        raise DamagedRecordError(f"{explain(error, Record, where=where)}; {AGAIN}") from None
    trial = record.trial
    if record.trial_id != trial_id:
        raise DamagedRecordError(f"{where}: is the record of trial {record.trial_id}, not of its folder; {AGAIN}")
    if (record.trial_id, record.pair_id) != (trial.id, trial.pair_id()):
        raise DamagedRecordError(f"{where}: its trial's id is {trial.id}, not {record.trial_id}; {AGAIN}")
    return record


def _plain(value: Any) -> Any:
    """What a file takes: no infinite or NaN number, no text that cannot be encoded."""
    if isinstance(value, dict):
        return {encodable(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
