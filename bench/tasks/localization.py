"""The Charades challenge's localisation score: mean average precision over equally spaced frames."""

from __future__ import annotations

import numpy as np

from impls.contract import Array, Batch

# The challenge takes 25 frames a video; the paper takes 100.
FRAMES_PER_VIDEO = 100


def time_points(seconds: float) -> Array:
    """`[100]` times in seconds: (j − 1) / 100 of a video's length for j = 1 … 100; the end is not among them."""
    return np.arange(FRAMES_PER_VIDEO) / FRAMES_PER_VIDEO * seconds


def actions_at(times: Array, actions: Array, *, classes: int) -> Array:
    """`[times, classes]` uint8: 1 where an action goes on, its first and last moment included.

    Args:
        times: `[times]` in seconds.
        actions: `[actions, 3]`: class, start and end in seconds.
        classes: how many there are.
    """
    labels = np.zeros((len(times), classes), np.uint8)
    for action, start, end in actions:
        labels[(start <= times) & (times <= end), int(action)] = 1
    return labels


def average_precision(scores: Array, labels: Array) -> float:
    """Mean, over the positives, of the precision at their rank; NaN without a positive.

    Ranks go by falling score; frames of equal score keep their order, as in the challenge's own program
    (`THUMOSeventclspr` in `Charades_v1_localize.m`, whose `sort` is stable).

    Shapes: `[frames]` each; labels are 0 or 1.
    """
    hits = labels[np.argsort(-scores, kind="stable")] == 1
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def mean_average_precision(scores: Array, labels: Array) -> float:
    """Mean over the classes of the average precision over all frames of all videos together.

    A class without a positive has none (0/0) and is left out. The challenge's program would make the whole mean
    NaN; on its own test data every class has positives, and the two agree.

    Shapes: `[frames, classes]` each.
    """
    classes = range(labels.shape[1])
    return float(np.nanmean([average_precision(scores[:, each], labels[:, each]) for each in classes]))


class LocalizationScore:
    """Takes the predictions of whole videos in order, and keeps those at the frames that are scored.

    Shapes: `steps` is `[videos, 100]`, the step that is shown at each time point; `labels` is
    `[videos, 100, classes]`.
    """

    def __init__(self, *, steps: Array, labels: Array) -> None:
        self._steps, self._labels = steps, labels
        self._scores = np.zeros(labels.shape, np.float32)
        self._seen = 0

    def add(self, batch: Batch, predictions: Array) -> None:
        """Predictions `[batch, time, classes]` of the next videos."""
        for each in predictions:
            self._scores[self._seen] = each[self._steps[self._seen]]
            self._seen += 1

    def quality(self) -> float:
        """Mean average precision, between 0 and 1. All videos must have been taken in."""
        if self._seen != len(self._scores):
            raise RuntimeError(f"{self._seen} of {len(self._scores)} videos were taken in")
        classes = self._labels.shape[2]
        return mean_average_precision(self._scores.reshape(-1, classes), self._labels.reshape(-1, classes))
