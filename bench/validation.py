"""Turns pydantic's findings into one line: the key, what is wrong with it, the nearest right name."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from impls.errors import nearest


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
        said = f"{key} = {first['input']!r}: {message}" if key else message
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{where}: {said}{more}"
