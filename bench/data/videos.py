"""Decodes videos into frames at a fixed rate, ready for an image network (optional extra `video`: PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from impls.contract import Array

# The usual preparation for ImageNet: the shorter side to 256 pixels, then the middle 224 × 224.
SHORTER_SIDE = 256
CROP = 224
# Frame times are fractions with small rounding; this much early still counts as on time.
TOLERANCE_SECONDS = 1e-4


def read_frames(path: Path, *, frames_per_second: float, limit: int) -> Array:
    """`[frames, 224, 224, 3]` uint8, RGB: at every 1/`frames_per_second` the frame that is then on show.

    Args:
        path: a video that FFmpeg reads.
        frames_per_second: of the result, whatever the video's own.
        limit: frames at most; nothing after them is decoded.

    Raises `DataError` naming the file where it cannot be decoded or holds no frame.
    """
    import av

    frames: list[Array] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: it holds no video")
            for until, frame in _shown(container):
                if len(frames) >= limit:
                    break
                due = _frames_due(until, frames_per_second) - len(frames)
                # A frame shown for less than one interval may fall between two of them.
                if due > 0:
                    frames += [_prepared(frame)] * min(due, limit - len(frames))
    except av.FFmpegError as error:
        raise DataError(f"{path}: cannot be decoded ({error})") from None
    if not frames:
        raise DataError(f"{path}: cannot be decoded: it holds no frame")
    return np.stack(frames)


def _frames_due(until: float, frames_per_second: float) -> int:
    """How many frames stand at times before `until`, counted from 0 seconds."""
    return int(np.ceil((until - TOLERANCE_SECONDS) * frames_per_second))


def _shown(container: Any) -> Iterator[tuple[float, Any]]:
    """Frames, each with the time in seconds, from the first frame on, when the next takes over."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    interval = float(1 / stream.average_rate) if stream.average_rate else 0.04
    start, time, shown = 0.0, 0.0, None
    for number, frame in enumerate(container.decode(stream)):
        time = number * interval if frame.time is None else frame.time
        if shown is None:
            start = time
        else:
            yield time - start, shown
        shown = frame
    if shown is not None:
        yield time - start + interval, shown


def _prepared(frame: Any) -> Array:
    scale = SHORTER_SIDE / min(frame.width, frame.height)
    width, height = max(CROP, round(frame.width * scale)), max(CROP, round(frame.height * scale))
    image: Array = frame.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR").to_ndarray()
    top, left = (height - CROP) // 2, (width - CROP) // 2
    return image[top : top + CROP, left : left + CROP]
