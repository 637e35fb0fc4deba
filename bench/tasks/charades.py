"""Charades: which of 157 actions go on at every moment of a video (Table 3)."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from pydantic import Field
from rich.console import Console
from rich.progress import track

from bench.data.charades_files import (
    CLASSES,
    FEATURES,
    AnnotatedVideo,
    all_frame_files,
    read_annotations,
    read_features,
)
from bench.data.prepared import content_fingerprint, open_array, prepared_folder
from bench.data.sequences import Sequences, SequenceWriter
from bench.errors import DataError
from bench.tasks.base import Score, Split, TaskOptions
from bench.tasks.data_set import DataSetTask, Part
from bench.tasks.localization import LocalizationScore, actions_at, time_points
from bench.tasks.protocol import Count, Number, Protocol
from bench.tasks.randomness import permutation
from impls.contract import Array, Batch

VALIDATION_SHARE = 0.05
SPLIT_SEED = 0
VERSION = 1

ANNOTATIONS = {"train": "Charades_v1_train.csv", "test": "Charades_v1_test.csv"}
ANNOTATION_FOLDERS = ("charades", "charades/Charades", "Charades")
FEATURE_FOLDERS = tuple(
    f"{parent}{name}"
    for name in ("Charades_v1_features_rgb", "Charades_v1_features/rgb")
    for parent in ("charades/", "Charades/", "")
)
SOURCE = "https://prior.allenai.org/projects/charades"


class CharadesOptions(TaskOptions):
    """How a video becomes a sequence.

    Attributes:
        length: steps of a sequence; shorter videos are padded and masked, longer ones lose their end, whose
            frames are then scored with the prediction of the last step.
        stride: every that-many-th frame is a step.
        frames_per_second: of the features.
    """

    length: Count = Field(default=300, ge=1)
    stride: Count = Field(default=1, ge=1)
    frames_per_second: Number = Field(default=6.0, gt=0)


class Charades(DataSetTask):
    """Inputs `[batch, length, 4096]`: fc7 of the organisers' RGB stream. Targets `[batch, length, 157]` in {0, 1}.

    The challenge's test videos are the test split; 5 % of its training videos are held out for validation.
    """

    name = "charades"
    summary = "157 actions at every step of a video; fc7 features and annotations of the challenge"
    Options = CharadesOptions
    # The paper does not say how many epochs.
    default_protocol = Protocol(epochs=200)
    default_units = (256, 256)
    quality_metric = "mean_average_precision"
    loss = "binary_cross_entropy"
    readout = "every"
    # VGG-16 on every used frame.
    encoder_macs_per_step = 15.3e9
    input_size = FEATURES
    output_size = CLASSES
    options: CharadesOptions

    @property
    def length(self) -> int:
        """Steps of a sequence, padding included."""
        return self.options.length

    def data_problem(self) -> str:
        """Names the annotation files and the feature folder that are missing."""
        missing = [name for name in ANNOTATIONS.values() if self._annotation_file(name) is None]
        if self._features is None:
            missing.append("Charades_v1_features_rgb/")
        if not missing:
            return ""
        return (
            f"{self.data / ANNOTATION_FOLDERS[0]}: {', '.join(missing)} missing; have Charades.zip (annotations) "
            f"and Charades_v1_features_rgb.tar.gz (fc7) from {SOURCE}, and put there the two .csv files and the "
            f"folder Charades_v1_features_rgb/, with a folder for each video and in it a text file of 4,096 "
            f"numbers for each frame"
        )

    def prepare(self) -> None:
        """Turns the text files into one array."""
        super().prepare()
        _ = self._folder

    def _annotation_file(self, name: str) -> Path | None:
        paths = (self.data / folder / name for folder in ANNOTATION_FOLDERS)
        return next((path for path in paths if path.is_file()), None)

    @property
    def _features(self) -> Path | None:
        folders = (self.data / folder for folder in FEATURE_FOLDERS)
        return next((folder for folder in folders if folder.is_dir()), None)

    @cached_property
    def _folder(self) -> Path:
        files = {part: self._annotation_file(name) for part, name in ANNOTATIONS.items()}
        features = self._features
        if files["train"] is None or files["test"] is None or features is None:
            raise DataError(self.data_problem())
        train = read_annotations(files["train"], features=features)
        test = read_annotations(files["test"], features=features)
        of_training = {video.id for video in train}
        if shared := [video.id for video in test if video.id in of_training]:
            raise DataError(
                f"{files['test']}: {len(shared)} of {len(test)} videos are in {files['train']} too, the first is "
                f"{shared[0]!r}: no video may be trained on and tested"
            )
        frames = all_frame_files(features, [*train, *test], frames_per_second=self.options.frames_per_second)
        return prepared_folder(
            self.data,
            self.name,
            files=chain((files["train"], files["test"]), frames),
            settings={"version": VERSION},
            build=lambda folder: _build(folder, train=train, test=test, features=features),
        )

    @cached_property
    def _frames(self) -> Sequences:
        return Sequences(self._folder, "features")

    @cached_property
    def _actions(self) -> Sequences:
        return Sequences(self._folder, "actions")

    def data_fingerprint(self) -> str:
        """Of the prepared files."""
        return content_fingerprint(self._folder)

    def rows(self, part: Part) -> Array:
        """Rows count the training videos, then the test videos, as annotated."""
        return open_array(self._folder / f"{part}.npy")

    def batch(self, rows: Array) -> Batch:
        """Reads the frames of these videos, and what goes on at each."""
        inputs, mask = self._frames.padded(rows, length=self.length, stride=self.options.stride)
        targets = np.zeros((len(rows), self.length, CLASSES), np.float32)
        times = np.arange(self.length) * self._step_seconds
        for place, row in enumerate(rows):
            real = int(mask[place].sum())
            actions = self._actions.sequence(int(row))
            targets[place, :real] = actions_at(times[:real], actions, classes=CLASSES)
        return Batch(inputs=inputs, targets=targets, mask=mask)

    @property
    def _step_seconds(self) -> float:
        return self.options.stride / self.options.frames_per_second

    def score(self, split: Split) -> Score:
        """Mean average precision on 100 equally spaced frames, each with the prediction of the latest step."""
        rows = self.rows(split)
        seconds = open_array(self._folder / "seconds.npy")[rows]
        frames = self._frames.lengths()[rows]
        last_steps = np.minimum(-(-frames // self.options.stride), self.length) - 1
        times = np.stack([time_points(each) for each in seconds])
        # A time that is a step's own must not fall to the step before by rounding.
        steps = np.floor(times / self._step_seconds + 1e-6).astype(np.int64)
        labels = [
            actions_at(of_video, self._actions.sequence(int(row)), classes=CLASSES)
            for of_video, row in zip(times, rows, strict=True)
        ]
        return LocalizationScore(steps=np.minimum(steps, last_steps[:, np.newaxis]), labels=np.stack(labels))


def _build(folder: Path, *, train: list[AnnotatedVideo], test: list[AnnotatedVideo], features: Path) -> None:
    """Writes features, actions, lengths and parts; memory holds one video at a time."""
    order = permutation(len(train), seed=SPLIT_SEED, stream="charades/split", epoch=0)
    held_out = max(1, round(VALIDATION_SHARE * len(train)))
    parts = {
        "validation": np.sort(order[:held_out]),
        "train": np.sort(order[held_out:]),
        "test": np.arange(len(train), len(train) + len(test)),
    }
    videos = [*train, *test]
    for part, rows in parts.items():
        if not any(actions_at(time_points(v.seconds), v.actions, classes=CLASSES).any() for v in _at(videos, rows)):
            name = ANNOTATIONS["test" if part == "test" else "train"]
            raise DataError(f"{name}: none of the {len(rows)} videos of the {part} part shows an action to score")
    with (
        SequenceWriter(folder, "features", step_shape=(FEATURES,), dtype=np.float32) as frames,
        SequenceWriter(folder, "actions", step_shape=(3,), dtype=np.float64) as actions,
    ):
        for video in track(videos, "reading the features of Charades", console=Console(stderr=True)):
            frames.add(read_features(features / video.id))
            actions.add(video.actions)
    np.save(folder / "seconds.npy", np.array([video.seconds for video in videos]))
    for part, rows in parts.items():
        np.save(folder / f"{part}.npy", rows)


def _at(videos: list[AnnotatedVideo], rows: Array) -> list[AnnotatedVideo]:
    return [videos[int(row)] for row in rows]
