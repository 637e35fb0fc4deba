"""How trials were trained, and how a table of the paper was, in words: setting by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.glossary import evaluation_words
from bench.report.names import plain
from bench.report.paper.layout import PaperTable
from bench.report.paper.published import PLAIN
from bench.report.task_options import option_text, options_of

# How a setting is told, around its value; a setting without an entry is told by its name.
PHRASES = {
    "length": "T = {}",
    "option.variant": "{} images",
    "option.downsample": "downsampled by {}",
    "option.validation_images": "{} images for validation",
    "option.frames_per_second": "{} frames a second",
    "option.padding": "padding {}",
    "option.vocabulary": "{} words",
    "option.embedding_size": "{}-d embeddings",
    "option.word_vectors": "word vectors {}",
    "option.split": "split {}",
    "units": "{} units",
    "training": "{}",
    "protocol.batch_size": "batch {}",
    "protocol.learning_rate": "learning rate {}",
    "protocol.learning_rate_schedule": "{} learning rate",
    "protocol.clip_norm": "gradients clipped at {}",
    "evaluation": "evaluated {}",
    "protocol.evaluation_sequences": "{} sequences an evaluation",
    "engine": "{} engine",
    "device": "on {}",
    "precision": "{} products",
    "reported": "{}",
}
VALUES: Mapping[str, Mapping[str, str]] = {
    "option.variant": {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"},
    "option.vocabulary": {"0": "all"},
    "option.word_vectors": {"": "drawn at random"},
    "option.padding": {"empty_frames": "read as empty frames", "front": "read before the words", "masked": "masked"},
}
# Told together, as the setting of the right-hand name.
LENGTHS = {"protocol.steps": "training", "protocol.epochs": "training", "protocol.evaluate_every": "evaluation"}


def trial_settings(trial: Mapping[str, Any]) -> dict[str, str]:
    """Every setting of a trial (a frame's row) as text, by name: the data, the size, the training, who computes.

    What names a row (the cell, λ, the random skip) is none; the cell's other fields are the paper's in every row.
    """
    options: dict[str, str] = {f"option.{name}": value for name, value in options_of(trial["options"]).items()}
    protocol = {name: trial[name] for name in map(str, trial) if name.startswith("protocol.")}
    settings = {"length": f"{trial['length']:,}"} | options | {"units": trial["units"].replace("x", " × ")}
    settings |= _training(protocol)
    settings |= {name: str(trial[name]) for name in ("engine", "device", "reported")}
    settings |= {name: plain(trial[name]) for name in PLAIN}
    return _worded(settings)


def published_settings(table: PaperTable) -> dict[str, str]:
    """The settings that a table was published with; those that its rows differ in are left out."""
    settings: dict[str, str] = {} if table.length is None else {"length": f"{table.length:,}"}
    settings |= {f"option.{name}": option_text(value) for name, value in table.options.items()}
    settings |= {"units": " × ".join(map(str, table.units))}
    settings |= _training({f"protocol.{name}": value for name, value in table.protocol.items()})
    return _worded(settings)


def _worded(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: VALUES[name].get(value, value) if name in VALUES else value for name, value in settings.items()}


def varying_settings(
    found: Sequence[Mapping[str, str]], *, among: Sequence[str] = (), apart_from: Sequence[str] = ()
) -> list[str]:
    """The names of the settings that differ between trials, of all or of those named."""
    names = among or list(dict.fromkeys(name for settings in found for name in settings))
    return [name for name in names if name not in apart_from and len({settings.get(name) for settings in found}) > 1]


def phrase(name: str, value: str) -> str:
    """A setting in words, such as `64 units`."""
    if name == "reported":
        return evaluation_words([value])
    words = name.removeprefix("option.").removeprefix("protocol.").replace("_", " ")
    return PHRASES.get(name, f"{words} {{}}").format(value)


def _training(protocol: Mapping[str, Any]) -> dict[str, str]:
    steps, epochs = protocol["protocol.steps"], protocol["protocol.epochs"]
    length, unit = (epochs, "epochs") if pd.isna(steps) else (steps, "steps")
    every = int(protocol["protocol.evaluate_every"])
    settings = {"training": f"{int(length):,} {unit}"}
    settings |= {name: plain(value) for name, value in protocol.items() if name not in LENGTHS}
    return settings | {"evaluation": f"every {unit.removesuffix('s') if every == 1 else f'{every:,} {unit}'}"}
