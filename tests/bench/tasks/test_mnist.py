"""MNIST and Fashion-MNIST from files in their published layout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError, UserError
from bench.tasks import build_task
from bench.tasks.base import Task
from tests.bench.tasks.checks import check_batches, check_epoch
from tests.bench.tasks.layouts import idx_bytes, mnist_arrays, write_mnist


def mnist(data: Path, **options: object) -> Task:
    return build_task("mnist", {"validation_images": 10, **options}, data=data)


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("variant", ["mnist", "fashion_mnist"])
def test_reads_the_four_files(tmp_path: Path, variant: str, gzipped: bool):
    files = write_mnist(tmp_path, variant=variant, gzipped=gzipped)
    task = mnist(tmp_path, variant=variant)
    task.prepare()
    validation = next(task.evaluation_batches("validation", size=100, sequences=0))
    np.testing.assert_array_equal(
        validation.inputs, (files["train-images-idx3-ubyte"][:10] / 255).reshape(10, 784, 1).astype(np.float32)
    )
    np.testing.assert_array_equal(validation.targets, files["train-labels-idx1-ubyte"][:10])
    test = next(task.evaluation_batches("test", size=100, sequences=0))
    np.testing.assert_array_equal(test.targets, files["t10k-labels-idx1-ubyte"])
    assert task.steps_per_epoch(10) == 5
    check_batches(task, mnist(tmp_path, variant=variant), size=8)
    check_epoch(task, size=10)


def write_keras(data: Path, **changed: np.ndarray) -> tuple[Path, dict[str, np.ndarray]]:
    """`mnist.npz` as keras.datasets ships it, but for these arrays; its path, and what is in it."""
    names = {"x_train": "train-images-idx3", "y_train": "train-labels-idx1"}
    names |= {"x_test": "t10k-images-idx3", "y_test": "t10k-labels-idx1"}
    published = mnist_arrays()
    arrays = {name: published[f"{other}-ubyte"].astype(np.uint8) for name, other in names.items()} | changed
    path = data / "mnist" / "mnist.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path, arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_reads_the_file_of_keras(tmp_path: Path, dtype: type):
    images = mnist_arrays()["t10k-images-idx3-ubyte"].astype(dtype)
    _, arrays = write_keras(tmp_path, x_test=images)
    batch = next(mnist(tmp_path).evaluation_batches("test", size=100, sequences=0))
    np.testing.assert_array_equal(batch.targets, arrays["y_test"])
    np.testing.assert_allclose(batch.inputs.reshape(images.shape) * 255, images, rtol=1e-6)


LABELS = mnist_arrays()["train-labels-idx1-ubyte"]


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("x_train", np.full((60, 28, 28), 0.5), "where pixels, unscaled, are whole numbers"),
        ("x_test", np.full((20, 28, 28), 256), "x_test holds 256"),
        ("x_test", np.full((20, 28, 28), -1), "x_test holds -1"),
        ("x_test", np.full((20, 28, 28), np.nan), "x_test holds nan"),
        ("x_test", np.full((20, 28, 28), "dark"), "x_test holds <U4"),
        ("y_train", LABELS + 256, "y_train holds 256, where labels are whole numbers from 0 to 9"),
        ("y_train", LABELS + 0.5, "y_train holds 0.5"),
        ("y_train", LABELS + 1, "y_train holds 10"),
        ("y_train", np.eye(10)[LABELS], "y_train has shape [60, 10], where one label an image is due"),
    ],
)
def test_numbers_that_are_no_pixels_or_labels_are_refused(tmp_path: Path, name: str, array: np.ndarray, said: str):
    path, _ = write_keras(tmp_path, **{name: array})
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {name} .*") as caught:
        mnist(tmp_path).prepare()
    assert said in str(caught.value)


@pytest.mark.parametrize(("downsample", "stride", "length"), [(1, 2, 392), (4, 1, 49), (2, 3, 66), (7, 1, 16)])
def test_fewer_pixels_are_averages_and_every_so_manyth(tmp_path: Path, downsample: int, stride: int, length: int):
    files = write_mnist(tmp_path)
    task = mnist(tmp_path, downsample=downsample, stride=stride)
    assert task.length == length
    image = files["train-images-idx3-ubyte"][0].astype(np.float64) / 255
    side = 28 // downsample
    averages = [
        image[row * downsample : (row + 1) * downsample, column * downsample : (column + 1) * downsample].mean()
        for row in range(side)
        for column in range(side)
    ]
    batch = next(task.evaluation_batches("validation", size=1, sequences=0))
    np.testing.assert_allclose(batch.inputs[0, :, 0], averages[::stride], rtol=1e-6)


def test_a_changed_file_is_read_anew(tmp_path: Path):
    write_mnist(tmp_path)
    mnist(tmp_path).prepare()
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.full(20, 7)))
    batch = next(mnist(tmp_path).evaluation_batches("test", size=100, sequences=0))
    assert set(batch.targets) == {7}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train-labels-idx1-ubyte", idx_bytes(np.full(60, 10)), "label 10 of image 0 lies outside the classes"),
        ("t10k-labels-idx1-ubyte", idx_bytes(np.zeros(19)), "19 labels for the 20 images"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros((60, 14, 14))), "images of shape [14, 14]"),
        ("train-images-idx3-ubyte", idx_bytes(np.zeros((60, 28, 28)))[:-5], "truncated"),
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros(60)), "wrong magic number"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, said: str):
    write_mnist(tmp_path)
    path = tmp_path / "mnist" / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{re.escape(said)}"):
        mnist(tmp_path).prepare()
    assert not list((tmp_path / "prepared" / "mnist").glob("*")), "nothing half-built stays"


def test_missing_files_are_named_before_anything_is_read(tmp_path: Path):
    write_mnist(tmp_path)
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    problem = mnist(tmp_path).data_problem()
    assert "t10k-labels-idx1-ubyte" in problem
    assert "train-images-idx3-ubyte" not in problem
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is missing"):
        mnist(tmp_path).prepare()


def test_too_few_images_to_hold_out_or_to_fill_a_batch(tmp_path: Path):
    write_mnist(tmp_path)
    with pytest.raises(DataError, match="60 training images, of which validation_images = 5000"):
        mnist(tmp_path, validation_images=5000).prepare()
    with pytest.raises(UserError, match="batch size 51 is larger than the 50 training examples"):
        mnist(tmp_path).steps_per_epoch(51)
