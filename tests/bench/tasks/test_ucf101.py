"""UCF-101 from the official lists and feature files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.tasks import build_task
from bench.tasks.base import Task
from tests.bench.tasks.checks import check_batches, check_epoch
from tests.bench.tasks.layouts import write_ucf101, write_ucf101_lists


def ucf101(data: Path, **options: object) -> Task:
    return build_task("ucf101", {"length": 10, **options}, data=data)


@pytest.mark.parametrize("padding", ["empty_frames", "masked"])
def test_batches_epochs_and_parts(tmp_path: Path, padding: str):
    write_ucf101(tmp_path)
    task = ucf101(tmp_path, padding=padding)
    task.prepare()
    assert task.steps_per_epoch(1) == 12
    check_batches(task, ucf101(tmp_path, padding=padding), size=4)
    check_epoch(task, size=6)


def test_whole_groups_are_held_out_for_validation(tmp_path: Path):
    features = write_ucf101(tmp_path)
    task = ucf101(tmp_path)
    (validation,) = task.evaluation_batches("validation", size=50, sequences=0)
    held_out = [path for path in features if "_g04_" in path or "_g05_" in path]
    assert len(held_out) == validation.size
    for inputs, path in zip(validation.inputs, held_out, strict=True):
        np.testing.assert_array_equal(inputs[0], features[path][0])


def test_clips_are_cropped_or_padded_with_empty_frames(tmp_path: Path):
    features = write_ucf101(tmp_path)
    tests = [path for path in features if "_g01_" in path]
    for padding in ("empty_frames", "masked"):
        (batch,) = ucf101(tmp_path, padding=padding).evaluation_batches("test", size=50, sequences=0)
        np.testing.assert_array_equal(batch.targets, [0, 0, 1, 1, 2, 2])
        for row, path in enumerate(tests):
            frames = features[path][:10]
            np.testing.assert_array_equal(batch.inputs[row, : len(frames)], frames)
            assert not batch.inputs[row, len(frames) :].any()
            if padding == "masked":
                assert batch.mask[row].sum() == len(frames)
            else:
                assert batch.mask is None


def test_a_changed_list_is_read_anew(tmp_path: Path):
    write_ucf101(tmp_path)
    ucf101(tmp_path).prepare()
    lists = tmp_path / "ucf101" / "ucfTrainTestlist"
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c02.avi\n")
    (batch,) = ucf101(tmp_path).evaluation_batches("test", size=50, sequences=0)
    np.testing.assert_array_equal(batch.targets, [1])


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros((4, 1024), np.float32), "an array of float32 [4, 1024] where floats [frames, 2048]"),
        (np.zeros((2048,), np.float32), "an array of float32 [2048]"),
        (np.zeros((4, 2048), np.int32), "an array of int32"),
        (np.zeros((0, 2048), np.float32), "it holds no frame"),
        (np.full((4, 2048), np.nan, np.float32), "not finite"),
        (np.full((4, 2048), 1e300, np.float64), "not finite"),
    ],
)
def test_unfit_features_are_named(tmp_path: Path, features: np.ndarray, said: str):
    write_ucf101(tmp_path)
    path = tmp_path / "ucf101/features/Archery/v_Archery_g03_c01.npy"
    np.save(path, features)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {re.escape(said)}|{re.escape(said)}$") as caught:
        ucf101(tmp_path).prepare()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00"])
def test_a_damaged_feature_file_is_named(tmp_path: Path, content: bytes):
    write_ucf101(tmp_path)
    path = tmp_path / "ucf101/features/Archery/v_Archery_g03_c01.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"v_Archery_g03_c01\.npy: not a \.npy file"):
        ucf101(tmp_path).prepare()


def test_a_listed_clip_without_features_is_named(tmp_path: Path):
    write_ucf101(tmp_path)
    path = tmp_path / "ucf101/features/Archery/v_Archery_g03_c01.npy"
    path.unlink()
    with pytest.raises(DataError, match=r"trainlist01\.txt: 1 of 24 clips have no features.*bench extract") as caught:
        ucf101(tmp_path).prepare()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("classInd.txt", "one ApplyEyeMakeup", "line 1: 'one ApplyEyeMakeup' is not written as"),
        ("classInd.txt", "102 ApplyEyeMakeup", "line 1: the class number 102 lies outside 1 to 101"),
        (
            "trainlist01.txt",
            "Archery/v_Archery_g02_c01.avi 1",
            "the class number 1 is not that of 'Archery', which is 2",
        ),
        ("trainlist01.txt", "\nDancing/v_Dancing_g02_c01.avi 3", "line 2: the class 'Dancing' is not in"),
        ("trainlist01.txt", "Archery/v_Archery_g02_c01.avi 2", "all clips are of one group"),
        (
            "classInd.txt",
            "1 ApplyEyeMakeup\n1 Archery",
            "line 2: the class '1 Archery' has the name or the number of an",
        ),
        ("classInd.txt", "1 Archery\n2 Archery", "line 2: the class '2 Archery' has the name or the number of an"),
        (
            "trainlist01.txt",
            "Archery/v_Archery_g02_c01.avi 2\nArchery/v_Archery_g03_c01.avi 2\nArchery/v_Archery_g02_c01.avi 2",
            "line 3: the clip 'Archery/v_Archery_g02_c01.avi' is listed already, in line 1",
        ),
        (
            "testlist01.txt",
            "Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g05_c02.avi",
            "1 of 2 clips are in",
        ),
        ("testlist01.txt", "v_Archery_g02_c01.avi", "line 1: 'v_Archery_g02_c01.avi' is not written as"),
        ("testlist01.txt", "\n", "it is empty"),
    ],
)
def test_damaged_lists_are_named(tmp_path: Path, name: str, content: str, said: str):
    write_ucf101(tmp_path)
    (tmp_path / "ucf101" / "ucfTrainTestlist" / name).write_text(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)}: .*{re.escape(said)}|{re.escape(f'{name}: {said}')}"):
        ucf101(tmp_path).prepare()


def test_what_is_missing_is_told_with_what_to_do(tmp_path: Path):
    assert "classInd.txt, trainlist01.txt, testlist01.txt missing" in ucf101(tmp_path).data_problem()
    assert "trainlist02.txt" in ucf101(tmp_path, split=2).data_problem()
    write_ucf101_lists(tmp_path)
    assert "no videos to extract them from; have UCF101.rar" in ucf101(tmp_path).data_problem()
    (tmp_path / "ucf101" / "UCF-101").mkdir()
    assert ucf101(tmp_path).data_problem().endswith("python -m bench extract ucf101")
    with pytest.raises(DataError, match="python -m bench extract ucf101"):
        ucf101(tmp_path).prepare()
