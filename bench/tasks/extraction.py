"""Extracts the frame features of UCF-101 from its videos (optional extra `video`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.data.ucf101_files import Clip
from bench.data.videos import read_frames
from bench.errors import DataError, UserError
from bench.machine.disk import disk_explained, write_atomically
from bench.tasks.ucf101 import FRAMES, FRAMES_PER_SECOND, SOURCE, VIDEO_FOLDERS, Ucf101, Ucf101Options
from impls.contract import Array
from impls.errors import nearest

PACKAGES = ("av", "timm")
DEVICES = ("auto", "cpu", "cuda")


class FrameEncoder(Protocol):
    """A trained image network without its classifier."""

    def encode(self, frames: Array) -> Array:
        """`[frames, 224, 224, 3]` uint8 RGB to `[frames, 2048]` float32."""
        ...


def build_frame_encoder(*, weights: Path | None, device: str) -> FrameEncoder:
    """An ImageNet ResNet-50, in PyTorch, which is imported here.

    Args:
        weights: a file, or None to fetch them from the model hub.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.

    Raises `UserError` where timm cannot be imported, or the weights cannot be had or do not fit.
    """
    from bench.data import frame_encoder

    return frame_encoder.FrameEncoder(weights=weights, device=device)


def extract(
    task: str,
    *,
    data: Path,
    weights: Path | None = None,
    device: str = "auto",
    batch_size: int = 50,
    console: Console | None = None,
) -> int:
    """Writes `ucf101/features/<class>/<clip>.npy`, `[frames, 2048]` float32, for every clip of the official lists.

    Each clip is decoded at 25 frames a second, 250 frames at most, and goes through a ResNet-50 trained on
    ImageNet. Clips whose file is there are left alone, so that a run that was stopped goes on where it was.

    Args:
        task: `ucf101`, the one task with videos to extract.
        data: the data directory.
        weights: a file with the network's weights; None fetches them from the model hub.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        batch_size: frames that go through the network at a time.
        console: where progress is shown; None is the standard error.

    Returns the number of clips that were extracted. Raises `UserError` where a package, the videos or the weights
    are missing, `DiskError` at once where the disk takes no more, and `DataError` at the end, naming them, where
    videos could not be decoded; all others are extracted.
    """
    if task != Ucf101.name:
        raise UserError(f"extract {task}: only {Ucf101.name} has videos to extract features from")
    if device not in DEVICES:
        raise UserError(f"--device {device}: not one of {', '.join(DEVICES)}{nearest(device, DEVICES)}")
    if weights is not None and not weights.is_file():
        raise UserError(f"--weights {weights}: there is no such file")
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f"extract needs {' and '.join(missing)}: pip install 'skiprnn-bench[video]'")
    ucf101 = Ucf101(Ucf101Options(), data=data)
    by_path = {clip.video: clip for clips in ucf101.clips().values() for clip in clips}
    videos = ucf101.videos
    waiting = [clip for clip in by_path.values() if not (ucf101.features / clip.features).is_file()]
    if waiting and videos is None:
        raise DataError(
            f"{data / VIDEO_FOLDERS[0]}: missing, and {len(waiting)} of {len(by_path)} clips have no features yet; "
            f"have UCF101.rar from {SOURCE} and unpack it there, <class>/<clip>.avi"
        )
    if not waiting or videos is None:
        return 0
    absent = [videos / clip.video for clip in waiting if not (videos / clip.video).is_file()]
    if absent:
        raise DataError(f"{len(absent)} of {len(by_path)} videos are missing, the first is {absent[0]}")
    encoder = build_frame_encoder(weights=weights, device=device)
    return _extract_all(
        waiting, videos=videos, features=ucf101.features, encoder=encoder, batch_size=batch_size, console=console
    )


def _extract_all(
    clips: list[Clip],
    *,
    videos: Path,
    features: Path,
    encoder: FrameEncoder,
    batch_size: int,
    console: Console | None,
) -> int:
    undecodable: list[str] = []
    with _progress(console) as progress:
        for clip in progress.track(clips, description="extracting features"):
            try:
                _extract(videos / clip.video, features / clip.features, encoder=encoder, batch_size=batch_size)
            except DataError as error:
                undecodable.append(str(error))
    if undecodable:
        raise DataError("\n".join(undecodable))
    return len(clips)


def _extract(video: Path, path: Path, *, encoder: FrameEncoder, batch_size: int) -> None:
    frames = read_frames(video, frames_per_second=FRAMES_PER_SECOND, limit=FRAMES)
    batches = [encoder.encode(frames[start : start + batch_size]) for start in range(0, len(frames), batch_size)]
    with disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: np.save(temporary, np.concatenate(batches)))


def _progress(console: Console | None) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
