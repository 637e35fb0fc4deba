"""UCF-101: which of 101 actions a clip shows (Table 6, Fig. 4)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from rich.console import Console
from rich.progress import track

from bench.data.prepared import content_fingerprint, open_array, prepared_folder
from bench.data.sequences import Sequences, SequenceWriter
from bench.data.ucf101_files import CLASSES, FEATURES, Clip, read_classes, read_clips, read_features
from bench.errors import DataError
from bench.tasks.base import Accuracy, Score, Split, TaskOptions
from bench.tasks.data_set import DataSetTask, Part
from bench.tasks.protocol import Count, Protocol
from impls.contract import Array, Batch

FRAMES_PER_SECOND = 25
# Ten seconds, as published.
FRAMES = 250
# Split 1 trains on groups 8 to 25; its two last ones are held out.
VALIDATION_GROUPS = 2
VERSION = 1

LIST_FOLDERS = ("ucf101/ucfTrainTestlist", "ucf101", "ucfTrainTestlist")
VIDEO_FOLDERS = ("ucf101/UCF-101", "UCF-101", "ucf101/videos")
FEATURE_FOLDER = "ucf101/features"
SOURCE = "https://www.crcv.ucf.edu/data/UCF101.php"


class Ucf101Options(TaskOptions):
    """How a clip becomes a sequence.

    Attributes:
        length: steps of a sequence; longer clips lose their end.
        stride: every that-many-th frame is a step; give a length of 250 / stride with it.
        padding: `empty_frames` reads zeros after a shorter clip like frames, so that every sequence takes `length`
            steps, as the published updates of plain cells do; with `masked` they are no steps at all.
        split: which of the three official ones.
    """

    length: Count = Field(default=FRAMES, ge=1)
    stride: Count = Field(default=1, ge=1)
    padding: Literal["empty_frames", "masked"] = "empty_frames"
    split: Literal[1, 2, 3] = 1


class Ucf101(DataSetTask):
    """Inputs `[batch, length, 2048]`: pooled ResNet-50 features of frames at 25 a second; 101 classes.

    The split's test clips are the test split. The clips of its two last training groups are held out for
    validation: clips of one group come from one source, so that single clips held out would tell too much.
    """

    name = "ucf101"
    summary = "101 actions, a clip each; official split lists, and features or videos to extract them from"
    Options = Ucf101Options
    # The paper does not say how many epochs.
    default_protocol = Protocol(epochs=500, evaluate_every=5)
    default_units = (512, 512)
    quality_metric = "accuracy"
    loss = "cross_entropy"
    # ResNet-50 on every used frame.
    encoder_macs_per_step = 3.8e9
    input_size = FEATURES
    output_size = CLASSES
    options: Ucf101Options

    @property
    def length(self) -> int:
        """Steps of a sequence, padding included."""
        return self.options.length

    @property
    def features(self) -> Path:
        """The folder of extracted features, which need not be there yet: `<class>/<clip>.npy`."""
        return self.data / FEATURE_FOLDER

    @property
    def videos(self) -> Path | None:
        """The folder of videos, `<class>/<clip>.avi`, where it is there."""
        folders = (self.data / folder for folder in VIDEO_FOLDERS)
        return next((folder for folder in folders if folder.is_dir()), None)

    def data_problem(self) -> str:
        """Names the lists that are missing, or the features, which are extracted from videos."""
        missing = [name for name in self._list_names.values() if self._list_file(name) is None]
        if missing:
            return (
                f"{self.data / LIST_FOLDERS[0]}: {', '.join(missing)} missing; have "
                f"UCF101TrainTestSplits-RecognitionTask.zip from {SOURCE} and unpack its folder ucfTrainTestlist "
                f"into {self.data / 'ucf101'}"
            )
        if self.features.is_dir():
            return ""
        if self.videos is not None:
            return f"{self.features}: missing; extract them from {self.videos}: python -m bench extract ucf101"
        return (
            f"{self.features}: missing, and no videos to extract them from; have UCF101.rar from {SOURCE}, unpack "
            f"it into {self.data / VIDEO_FOLDERS[0]}/<class>/<clip>.avi and run python -m bench extract ucf101, "
            f"or put features there as <class>/<clip>.npy, each [frames, {FEATURES}] at {FRAMES_PER_SECOND} "
            f"frames a second"
        )

    def prepare(self) -> None:
        """Turns the feature files into one array."""
        super().prepare()
        _ = self._folder

    def clips(self) -> dict[Literal["train", "test"], list[Clip]]:
        """The clips of the official lists. Raises `DataError` where a list is missing, damaged, or shares a clip."""
        files = {part: self._list_file(name) for part, name in self._list_names.items()}
        if files["classes"] is None or files["train"] is None or files["test"] is None:
            raise DataError(self.data_problem())
        classes = read_classes(files["classes"])
        train = read_clips(files["train"], classes=classes)
        test = read_clips(files["test"], classes=classes)
        of_training = {clip.features for clip in train}
        if shared := [str(clip.video) for clip in test if clip.features in of_training]:
            raise DataError(
                f"{files['test']}: {len(shared)} of {len(test)} clips are in {files['train']} too, the first is "
                f"{shared[0]!r}: no clip may be trained on and tested"
            )
        return {"train": train, "test": test}

    @property
    def _list_names(self) -> dict[str, str]:
        split = self.options.split
        return {"classes": "classInd.txt", "train": f"trainlist0{split}.txt", "test": f"testlist0{split}.txt"}

    def _list_file(self, name: str) -> Path | None:
        paths = (self.data / folder / name for folder in LIST_FOLDERS)
        return next((path for path in paths if path.is_file()), None)

    @cached_property
    def _folder(self) -> Path:
        clips = self.clips()
        files = []
        for part, of_part in clips.items():
            paths = [self.features / clip.features for clip in of_part]
            missing = [path for path in paths if not path.is_file()]
            if missing:
                raise DataError(
                    f"{self._list_file(self._list_names[part])}: {len(missing)} of {len(paths)} clips have no "
                    f"features; the first file that is missing is {missing[0]}; python -m bench extract ucf101 "
                    f"extracts what is missing from videos"
                )
            files += paths
        labels = [f"{clip.features};{clip.label}" for of_part in clips.values() for clip in of_part]
        return prepared_folder(
            self.data,
            self.name,
            files=files,
            settings={"version": VERSION, "labels": labels, "training clips": len(clips["train"])},
            build=lambda folder: self._build(folder, train=clips["train"], test=clips["test"]),
        )

    def _build(self, folder: Path, *, train: list[Clip], test: list[Clip]) -> None:
        """Writes features, labels and parts; memory holds one clip at a time."""
        groups = sorted({clip.group for clip in train})
        if len(groups) < 2:
            file = self._list_file(self._list_names["train"])
            raise DataError(f"{file}: all clips are of one group, so that none can be held out for validation")
        held_out = set(groups[-min(VALIDATION_GROUPS, len(groups) - 1) :])
        is_held_out = np.array([clip.group in held_out for clip in train])
        clips = [*train, *test]
        with SequenceWriter(folder, "features", step_shape=(FEATURES,), dtype=np.float32) as writer:
            for clip in track(clips, "reading the features of UCF-101", console=Console(stderr=True)):
                writer.add(read_features(self.features / clip.features))
        np.save(folder / "labels.npy", np.array([clip.label for clip in clips], np.int32))
        np.save(folder / "train.npy", np.flatnonzero(~is_held_out))
        np.save(folder / "validation.npy", np.flatnonzero(is_held_out))
        np.save(folder / "test.npy", np.arange(len(train), len(clips)))

    @cached_property
    def _frames(self) -> Sequences:
        return Sequences(self._folder, "features")

    @cached_property
    def _labels(self) -> Array:
        return open_array(self._folder / "labels.npy")

    def data_fingerprint(self) -> str:
        """Of the prepared files."""
        return content_fingerprint(self._folder)

    def rows(self, part: Part) -> Array:
        """Rows count the training clips, then the test clips, as listed."""
        return open_array(self._folder / f"{part}.npy")

    def batch(self, rows: Array) -> Batch:
        """Reads the first frames of these clips."""
        inputs, mask = self._frames.padded(rows, length=self.length, stride=self.options.stride)
        masked = self.options.padding == "masked"
        return Batch(inputs=inputs, targets=self._labels[rows], mask=mask if masked else None)

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()
