"""Records of older schemas, brought into today's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.plan.trial import Trial, build_trial
from bench.tasks.protocol import Protocol

# The first schema named its sweep, and had neither version nor checksum.
UNSEALED = 1
# Up to the second a record held its trial's fields among its own.
FLAT = 2


def today(content: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a flat schema as one that holds its trial.

    What trials and protocols have gained since stands at its default, as in the record's id. Records without
    `reported` are of the best validation.

    Raises `SweepError` where the fields are not those of a trial.
    """
    rest = dict(content)
    asked = {name: rest.pop(name) for name in Trial.model_fields if name in rest}
    options = asked.get("options", {})
    if isinstance(asked.get("protocol"), Mapping):
        asked["protocol"] = {name: field.default for name, field in Protocol.model_fields.items()} | dict(
            asked["protocol"]
        )
    trial = build_trial(asked, where="its fields")
    return {"reported": "best_validation", **rest, "trial": trial.model_dump(mode="json"), "task_options": options}
