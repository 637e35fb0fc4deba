"""The files of Charades: annotations, and fc7 features as a folder a video and a text file a frame."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
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
# Frame numbers are those of a video at 24 frames a second, of which every fourth has features, and annotated lengths
# are in 24ths of a second: what is published should agree within a frame. Frames that last longer or shorter than is
# annotated, by more than both of these, are too few or of another rate.
MARGIN_SECONDS, MARGIN_SHARE = 2.0, 0.2


@dataclass(frozen=True, kw_only=True)
class AnnotatedVideo:
    """A line of an annotation file; `actions` is `[actions, 3]` float64: class, start and end in seconds."""

    id: str
    seconds: float
    actions: Array


def read_annotations(path: Path, *, features: Path) -> list[AnnotatedVideo]:
    """The videos of `Charades_v1_train.csv` or `_test.csv`, in their order.

    Raises `DataError` naming the line at fault, such as that of a video that is annotated twice, or the first video
    that has no folder in `features`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(map(repr, missing))} in its first line")
            lines = [(reader.line_num, _annotated(row, where=f"{path}: line {reader.line_num}")) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if not lines:
        raise DataError(f"{path}: it holds no video")
    first: dict[str, int] = {}
    for line, video in lines:
        if first.setdefault(video.id, line) != line:
            raise DataError(f"{path}: line {line}: the video {video.id!r} is annotated already, in line {first[video.id]}")
    videos = [video for _, video in lines]
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
    """The feature files of a video, by frame number, such as `AO8RW-000001.txt`, `-000005.txt`, `-000009.txt`.

    Raises `DataError` where there is none, where one is called otherwise, and for the first number that is there twice
    or does not come when it is due: every later frame would be taken for one of another time.
    """
    name = re.compile(rf"{re.escape(folder.name)}-(\d+)\.txt")
    numbered: list[tuple[int, Path]] = []
    for path in sorted(folder.glob("*.txt")):
        match = name.fullmatch(path.name)
        if match is None:
            raise DataError(f"{path}: a feature file of this folder is called {folder.name}-000001.txt; remove others")
        numbered.append((int(match[1]), path))
    if not numbered:
        raise DataError(f"{folder}: it holds no feature file such as {folder.name}-000001.txt")
    numbered.sort()
    steps = [(number - before, before, number) for (before, _), (number, _) in pairwise(numbered)]
    every = min((step for step, _, _ in steps if step), default=0)
    for step, before, number in steps:
        if step == 0:
            raise DataError(f"{folder}: the frame {number} is there twice")
        if step != every:
            raise DataError(f"{folder}: no frame between {before} and {number}, where others follow by {every}")
    if every and numbered[0][0] > every:
        raise DataError(f"{folder}: its first frame is {numbered[0][0]}, though others follow by {every}")
    return [path for _, path in numbered]


def all_frame_files(features: Path, videos: list[AnnotatedVideo], *, frames_per_second: float) -> Iterator[Path]:
    """The feature files of all these videos, one after the other.

    Raises `DataError` as `frame_files` does, and for a video whose frames do not last as long as is annotated.
    """
    for video in videos:
        files = frame_files(features / video.id)
        seconds = len(files) / frames_per_second
        if abs(seconds - video.seconds) > max(MARGIN_SECONDS, MARGIN_SHARE * video.seconds):
            raise DataError(
                f"{features / video.id}: {len(files)} frames at {frames_per_second:g} a second last {seconds:.1f} s, "
                f"and the annotated length is {video.seconds:g} s: features are missing, or were taken at another "
                f"rate, which the option frames_per_second has to name"
            )
        yield from files


def read_features(folder: Path) -> Array:
    """`[frames, 4096]` float32. Raises `DataError` naming the file with another width or what is no number."""
    files = frame_files(folder)
    features = np.empty((len(files), FEATURES), np.float32)
    for frame, path in enumerate(files):
        try:
            values = [float(value) for value in path.read_text(encoding="utf-8").split()]
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not a text file of numbers ({error})") from None
        if len(values) != FEATURES:
            raise DataError(f"{path}: {len(values)} numbers where fc7 has {FEATURES:,}")
        features[frame] = values
        if not np.isfinite(features[frame]).all():
            raise DataError(f"{path}: it holds numbers that are not finite")
    return features
