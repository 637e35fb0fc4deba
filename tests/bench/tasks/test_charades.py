"""Charades from annotations and fc7 features in the challenge's layout."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.tasks import build_task
from bench.tasks.base import Task
from tests.bench.tasks.checks import check_batches, check_epoch
from tests.bench.tasks.layouts import CHARADES_HEADER, charades_line, write_charades, write_fc7

FRAMES = {"TEST0": 6, "TEST1": 9}


def charades(data: Path, **options: object) -> Task:
    return build_task("charades", {"length": 12, **options}, data=data)


def test_batches_epochs_and_parts(tmp_path: Path):
    write_charades(tmp_path)
    task = charades(tmp_path)
    assert task.data_problem() == ""
    task.prepare()
    assert task.steps_per_epoch(1) == 5, "one of six training videos is held out"
    check_batches(task, charades(tmp_path), size=2)
    check_epoch(task, size=2)


def test_targets_and_mask_follow_the_frames_of_each_video(tmp_path: Path):
    write_charades(tmp_path)
    (batch,) = charades(tmp_path).evaluation_batches("test", size=5, sequences=0)
    np.testing.assert_array_equal(batch.mask.sum(axis=1), [6, 9])
    # One second of six frames shows class 0 up to 0.5 s, the time of frame 3; 1.5 s show class 1 up to 0.75 s.
    np.testing.assert_array_equal(batch.targets[0, :, 0], [1, 1, 1, 1] + [0] * 8)
    np.testing.assert_array_equal(batch.targets[1, :, 1], [1, 1, 1, 1, 1] + [0] * 7)
    assert batch.targets.sum() == 9
    assert (batch.inputs[0, :3, 0] > 4.9).all()
    assert not batch.inputs[0, 6:].any()


def features_of(folder: Path, video: str, *numbers: int) -> Path:
    """The features of a video made anew, with each frame's own number in it; returns their folder."""
    place = folder / "Charades_v1_features_rgb" / video
    for path in place.iterdir():
        path.unlink()
    for number in numbers:
        (place / f"{video}-{number}.txt").write_text(" ".join([str(number)] * 4096))
    return place


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path):
    features_of(write_charades(tmp_path), "TEST0", 1, 5, 9, 13, 17)
    (batch,) = charades(tmp_path).evaluation_batches("test", size=5, sequences=0)
    np.testing.assert_array_equal(batch.inputs[0, :5, 7], [1, 5, 9, 13, 17])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 5, 13, 17, 25), "no frame between 5 and 13, where others follow by 4"),
        ((1, 9, 13, 17), "no frame between 1 and 9, where others follow by 4"),
        ((5, 9, 13, 17, 21), "its first frame is 5, though others follow by 4"),
    ],
)
def test_a_frame_that_is_missing_is_named(tmp_path: Path, numbers: tuple[int, ...], said: str):
    folder = features_of(write_charades(tmp_path), "TEST0", *numbers)
    with pytest.raises(DataError, match=f"^{re.escape(str(folder))}: {said}$"):
        charades(tmp_path).prepare()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TEST0-5.txt", "TEST0: the frame 5 is there twice"),
        ("copy-000005.txt", "copy-000005.txt: a feature file of this folder is called TEST0-000001.txt"),
        ("TEST0-000001-2.txt", "TEST0-000001-2.txt: a feature file of this folder is called TEST0-000001.txt"),
        ("TEST0-000001 (1).txt", "TEST0-000001 (1).txt: a feature file of this folder is called TEST0-000001.txt"),
    ],
)
def test_a_frame_that_is_there_twice_is_named(tmp_path: Path, name: str, said: str):
    folder = write_charades(tmp_path) / "Charades_v1_features_rgb" / "TEST0"
    (folder / name).write_text((folder / "TEST0-000005.txt").read_text())
    with pytest.raises(DataError, match=re.escape(said)):
        charades(tmp_path).prepare()


def test_frames_that_do_not_last_as_long_as_the_video_are_refused(tmp_path: Path):
    folder = write_charades(tmp_path)
    with pytest.raises(DataError, match=r"TRAIN3: 15 frames at 3 a second last 5.0 s, and the annotated length is 2.5"):
        charades(tmp_path, frames_per_second=3).prepare()
    cut = features_of(folder, "TRAIN5", 1)
    with pytest.raises(DataError, match=f"^{re.escape(str(cut))}: 1 frames at 6 a second last 0.2 s"):
        charades(tmp_path).prepare()


def test_fewer_frames_are_every_so_manyth(tmp_path: Path):
    write_charades(tmp_path)
    (every,) = charades(tmp_path).evaluation_batches("test", size=5, sequences=0)
    (third,) = charades(tmp_path, stride=3, length=4).evaluation_batches("test", size=5, sequences=0)
    np.testing.assert_array_equal(third.inputs, every.inputs[:, ::3])
    np.testing.assert_array_equal(third.targets, every.targets[:, ::3])
    np.testing.assert_array_equal(third.mask.sum(axis=1), [2, 3])


@pytest.mark.parametrize(("stride", "length"), [(1, 12), (1, 4), (2, 6)])
def test_a_perfect_prediction_of_every_time_point_scores_one(tmp_path: Path, stride: int, length: int):
    """Predictions here are the labels of the one step shown at each time point, worked out from the definition."""
    write_charades(tmp_path)
    task = charades(tmp_path, stride=stride, length=length)
    score = task.score("test")
    (batch,) = task.evaluation_batches("test", size=5, sequences=0)
    predictions = np.zeros((2, length, 157), np.float32)
    for video, frames in enumerate(FRAMES.values()):
        seconds, kept = frames / 6, min(length, -(-frames // stride))
        on_show = [min(int(point / 100 * seconds * 6 / stride + 1e-6), kept - 1) for point in range(100)]
        for step in range(kept):
            truth = [point / 100 * seconds <= round(seconds / 2, 2) for point in range(100) if on_show[point] == step]
            predictions[video, step, video] = np.mean(truth) if truth else 0
    score.add(batch, predictions)
    # A step whose time points are partly inside the action cannot be told apart; all others are exact.
    assert score.quality() > 0.93
    score = task.score("test")
    score.add(batch, -predictions)
    assert score.quality() < 0.5


def test_another_feature_folder_and_annotations_beside_it(tmp_path: Path):
    folder = write_charades(tmp_path)
    (folder / "Charades").mkdir()
    for name in ("train", "test"):
        (folder / f"Charades_v1_{name}.csv").rename(folder / "Charades" / f"Charades_v1_{name}.csv")
    (folder / "Charades_v1_features_rgb").rename(tmp_path / "Charades_v1_features_rgb")
    assert charades(tmp_path).data_problem() == ""
    charades(tmp_path).prepare()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (" ".join(["1"] * 4095), "4095 numbers where fc7 has 4,096"),
        (" ".join(["1"] * 4095 + ["nan"]), "not finite"),
        (" ".join(["1"] * 4095 + ["x"]), "not a text file of numbers"),
        ("", "0 numbers"),
    ],
)
def test_damaged_features_are_named(tmp_path: Path, content: str, said: str):
    path = write_charades(tmp_path) / "Charades_v1_features_rgb" / "TEST1" / "TEST1-000005.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{re.escape(said)}"):
        charades(tmp_path).prepare()


def replace_line(folder: Path, line: str) -> Path:
    path = folder / "Charades_v1_test.csv"
    path.write_text(f"{CHARADES_HEADER}\n{line}\n")
    return path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (charades_line("TEST9", "c001 0 1", 3), "1 of 1 annotated videos have no features"),
        (charades_line("TEST0", "c157 0 1", 3), "line 2 (video 'TEST0'): the class c157 lies outside"),
        (charades_line("TEST0", "c1 0 1", 3), "the action 'c1 0 1' is not written as"),
        (charades_line("TEST0", "c001 0 1", 3).removesuffix("3") + "soon", "the length 'soon' is not a number"),
        (charades_line("TEST0", "c001 0 1", 0), "the length '0' is not a number of seconds"),
        (charades_line("TEST0", "c001 0 1", math.inf), "the length 'inf' is not a number of seconds"),
        (charades_line("TEST0", "", 3), "none of the 1 videos of the test part shows an action"),
    ],
)
def test_damaged_annotations_are_named(tmp_path: Path, line: str, said: str):
    path = replace_line(write_charades(tmp_path), line)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        charades(tmp_path).prepare()
    assert path.name in str(caught.value)


def test_no_video_is_trained_on_twice_or_tested_too(tmp_path: Path):
    folder = write_charades(tmp_path)
    train, test = (folder / f"Charades_v1_{part}.csv" for part in ("train", "test"))
    lines = train.read_text()
    train.write_text(lines + lines.splitlines()[2] + "\n")
    with pytest.raises(DataError, match=r"train\.csv: line 8: the video 'TRAIN1' is annotated already, in line 3"):
        charades(tmp_path).prepare()
    train.write_text(lines)
    test.write_text(test.read_text() + lines.splitlines()[2] + "\n")
    with pytest.raises(DataError, match=r"test\.csv: 1 of 3 videos are in .*train\.csv too, the first is 'TRAIN1'"):
        charades(tmp_path).prepare()


def test_an_annotation_file_without_a_column_is_named(tmp_path: Path):
    path = write_charades(tmp_path) / "Charades_v1_train.csv"
    path.write_text(path.read_text().replace(",length", ",duration"))
    with pytest.raises(DataError, match=r"Charades_v1_train\.csv: no column 'length'"):
        charades(tmp_path).prepare()


def test_a_folder_in_the_place_of_a_feature_file_is_named(tmp_path: Path):
    path = write_charades(tmp_path) / "Charades_v1_features_rgb" / "TEST1" / "TEST1-000005.txt"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"TEST1-000005\.txt: not a text file of numbers"):
        charades(tmp_path).prepare()


def test_a_video_without_a_frame_is_named(tmp_path: Path):
    folder = write_charades(tmp_path) / "Charades_v1_features_rgb" / "TRAIN2"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="TRAIN2: it holds no feature file"):
        charades(tmp_path).prepare()


def test_what_is_missing_is_told_with_where_it_is_had_and_the_layout(tmp_path: Path):
    problem = charades(tmp_path).data_problem()
    for part in (
        "Charades_v1_train.csv, Charades_v1_test.csv, Charades_v1_features_rgb/ missing",
        "https://prior",
    ):
        assert part in problem
    write_fc7(tmp_path / "charades" / "Charades_v1_features_rgb" / "A", np.zeros((1, 4096)))
    assert "features_rgb/ missing" not in charades(tmp_path).data_problem()
    with pytest.raises(DataError, match="4,096 numbers for each frame"):
        charades(tmp_path).prepare()
