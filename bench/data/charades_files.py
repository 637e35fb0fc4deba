"""The files of Charades: annotations, and fc7 features as a folder a video and a text file a frame."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import DataError
from impls.contract import Array

CLASSES = 157
FEATURES = 4096
COLUMNS = ("id", "actions", "length")
# Such as `c092 11.90 21.20`: class, start and end in seconds.
ACTION = re.compile(r"c(\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)")
# It is the name of a folder: it may not be a path.
ID = re.compile(r"\w[\w-]*")
FRAME_FILE = re.compile(r".*?(\d+)\.txt")


@dataclass(frozen=True, kw_only=True)
class AnnotatedVideo:
    """A line of an annotation file; `actions` is `[actions, 3]` float64: class, start and end in seconds."""

    id: str
    seconds: float
    actions: Array


def read_annotations(path: Path, *, features: Path) -> list[AnnotatedVideo]:
    """The videos of `Charades_v1_train.csv` or `_test.csv`, in their order.

    Raises `DataError` naming the line at fault, or the first video that has no folder in `features`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(map(repr, missing))} in its first line")
            videos = [_annotated(row, where=f"{path}: line {reader.line_num}") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if not videos:
        raise DataError(f"{path}: it holds no video")
    absent = [features / video.id for video in videos if not (features / video.id).is_dir()]
    if absent:
        raise DataError(
            f"{path}: {len(absent)} of {len(videos)} annotated videos have no features; the first folder that is "
            f"missing is {absent[0]}"
        )
    return videos


def _annotated(row: dict[str, str | None], *, where: str) -> AnnotatedVideo:
    id_, length, actions = ((row[column] or "").strip() for column in ("id", "length", "actions"))
    where = f"{where} (video {id_!r})"
    if not ID.fullmatch(id_):
        raise DataError(f"{where}: the id is not written as 'AO8RW'")
    try:
        seconds = float(length)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise DataError(f"{where}: the length {length!r} is not a number of seconds")
    parsed: list[tuple[float, float, float]] = []
    for action in filter(None, (part.strip() for part in actions.split(";"))):
        match = ACTION.fullmatch(action)
        if not match:
            raise DataError(f"{where}: the action {action!r} is not written as 'c092 11.90 21.20'")
        if int(match[1]) >= CLASSES:
            raise DataError(f"{where}: the class c{match[1]} lies outside c000 to c{CLASSES - 1}")
        parsed.append((float(match[1]), float(match[2]), float(match[3])))
    return AnnotatedVideo(id=id_, seconds=seconds, actions=np.array(parsed, np.float64).reshape(-1, 3))


def frame_files(folder: Path) -> list[Path]:
    """The feature files of a video, by frame number. Raises `DataError` where there is none."""
    numbered = [
        (int(match[1]), path) for path in folder.iterdir() if (match := FRAME_FILE.fullmatch(path.name)) is not None
    ]
    if not numbered:
        raise DataError(f"{folder}: it holds no feature file such as {folder.name}-000001.txt")
    return [path for _, path in sorted(numbered)]


def all_frame_files(features: Path, videos: list[AnnotatedVideo]) -> Iterator[Path]:
    """The feature files of all these videos, one after the other."""
    for video in videos:
        yield from frame_files(features / video.id)


def read_features(folder: Path) -> Array:
    """`[frames, 4096]` float32. Raises `DataError` naming the file with another width or what is no number."""
    files = frame_files(folder)
    features = np.empty((len(files), FEATURES), np.float32)
    for frame, path in enumerate(files):
        try:
            values = [float(value) for value in path.read_text(encoding="utf-8").split()]
        except ValueError as error:
            raise DataError(f"{path}: not a text file of numbers ({error})") from None
        if len(values) != FEATURES:
            raise DataError(f"{path}: {len(values)} numbers where fc7 has {FEATURES:,}")
        features[frame] = values
        if not np.isfinite(features[frame]).all():
            raise DataError(f"{path}: it holds numbers that are not finite")
    return features
