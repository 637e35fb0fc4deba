"""A task's options as one text, such as `length=50, variant=mnist`: what rows are grouped by and files hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# An option's name and value in the text of all of them; a value may hold a comma.
OPTION = re.compile(r"(\w+)=(.*?)(?=, \w+=|$)")
# A comma that would begin another option.
NEXT = re.compile(r", \w+=")
# How another value than text begins, and text that is quoted.
OF_OTHERS = ("[", "{", '"')
NAMED = ("True", "False", "None")


def options_text(options: Mapping[str, Any]) -> str:
    """All options in their order; options that differ have different texts."""
    return ", ".join(f"{name}={option_text(value)}" for name, value in options.items())


def options_of(text: str) -> dict[str, str]:
    """The text of each option by name, from that of all of them."""
    return dict(OPTION.findall(text))


def option_text(value: Any) -> str:
    """An option's value: two that are not equal have two texts.

    Text stands as it is where it reads as nothing else, and in quotes where it does: `1` is a number, `"1"` is text.
    """
    if isinstance(value, float):
        short = f"{value:.12g}"
        return short if float(short) == value else repr(value)
    text = str(value)
    ambiguous = isinstance(value, str) and _reads_as_another(value)
    # JSON, without `=`, so that none of it reads as another option's name.
    return quoted(value).replace("=", r"\u003d") if ambiguous or NEXT.search(text) else text


def quoted(value: Any) -> str:
    """A value as JSON, which has text in quotes."""
    return json.dumps(value, ensure_ascii=False)


def _reads_as_another(text: str) -> bool:
    return text.startswith(OF_OTHERS) or text in NAMED or not text.isprintable() or _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
