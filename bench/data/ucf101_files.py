"""The files of UCF-101: class list, split lists, and a feature file for each clip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import DataError
from impls.contract import Array

CLASSES = 101
FEATURES = 2048
# Names become those of files, here and below `features`: none may be a path.
CLASS_LINE = re.compile(r"(\d+)\s+(\w[\w.+-]*)")
CLIP_LINE = re.compile(r"((\w[\w.+-]*)/(\w[\w.+-]*)\.\w+)(?:\s+(\d+))?")
GROUP = re.compile(r"_g(\d+)_")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A line of a split list.

    `video` is its path below the folder of videos, `features` its path below that of features; clips of one
    `group` were cut from the same source and look alike.
    """

    video: Path
    features: Path
    label: int
    group: str


def read_classes(path: Path) -> dict[str, int]:
    """Class names of `classInd.txt` and their numbers from 0. Raises `DataError` naming the line at fault."""
    classes: dict[str, int] = {}
    for line, text in _lines(path):
        match = CLASS_LINE.fullmatch(text)
        if not match:
            raise DataError(f"{path}: line {line}: {text!r} is not written as '1 ApplyEyeMakeup'")
        if not 1 <= int(match[1]) <= CLASSES:
            raise DataError(f"{path}: line {line}: the class number {match[1]} lies outside 1 to {CLASSES}")
        number, name = int(match[1]) - 1, match[2]
        if number in classes.values() or name in classes:
            raise DataError(f"{path}: line {line}: the class {text!r} has the name or the number of an earlier one")
        classes[name] = number
    return classes


def read_clips(path: Path, *, classes: dict[str, int]) -> list[Clip]:
    """The clips of `trainlist01.txt` (with class numbers) or `testlist01.txt` (without), in their order.

    Raises `DataError` naming the line at fault, such as that of a clip that is listed twice.
    """
    clips: list[Clip] = []
    lines: dict[Path, int] = {}
    for line, text in _lines(path):
        where = f"{path}: line {line}"
        match = CLIP_LINE.fullmatch(text)
        if not match:
            raise DataError(f"{where}: {text!r} is not written as 'Class/v_Class_g01_c01.avi 1'")
        video, class_name, name, number = match.groups()
        if class_name not in classes:
            raise DataError(f"{where}: the class {class_name!r} is not in {path.with_name('classInd.txt')}")
        label = classes[class_name]
        if number is not None and int(number) != label + 1:
            raise DataError(f"{where}: the class number {number} is not that of {class_name!r}, which is {label + 1}")
        group = GROUP.search(name)
        features = Path(class_name) / f"{name}.npy"
        if lines.setdefault(features, line) != line:
            raise DataError(f"{where}: the clip {video!r} is listed already, in line {lines[features]}")
        clips.append(
            Clip(
                video=Path(video),
                features=features,
                label=label,
                group=group[1] if group else name,
            )
        )
    return clips


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error})") from None
    lines = [(number, text.strip()) for number, text in enumerate(texts, start=1) if text.strip()]
    if not lines:
        raise DataError(f"{path}: it is empty")
    return lines


def read_features(path: Path) -> Array:
    """`[frames, 2048]` float32. Raises `DataError` naming a file that holds anything else."""
    try:
        features: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a .npy file ({error})") from None
    if features.ndim != 2 or features.shape[1] != FEATURES or not np.issubdtype(features.dtype, np.floating):
        raise DataError(
            f"{path}: an array of {features.dtype} {list(features.shape)} where floats [frames, {FEATURES}] are due"
        )
    if len(features) == 0:
        raise DataError(f"{path}: it holds no frame")
    with np.errstate(over="ignore"):
        single = np.asarray(features, np.float32)
    if not np.isfinite(single).all():
        raise DataError(f"{path}: it holds numbers that as float32 are not finite")
    return single
