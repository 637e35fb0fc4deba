"""MNIST and Fashion-MNIST, pixel by pixel (Table 2, Figs. 2 and 3)."""

from __future__ import annotations

import itertools
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from bench.data.downloads import download
from bench.data.idx import read_idx
from bench.data.prepared import content_fingerprint, open_array, prepared_folder
from bench.errors import DataError
from bench.tasks.base import Accuracy, Score, Split, TaskOptions
from bench.tasks.data_set import DataSetTask, Part
from bench.tasks.protocol import Count, Protocol
from impls.contract import Array, Batch

SIDE = 28
HIGHEST_PIXEL = 255
CLASSES = 10
VERSION = 2

ARRAYS = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
# `keras.datasets.mnist` keeps all of MNIST in one file, under these names.
KERAS_FILE = "mnist.npz"
KERAS_ARRAYS = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}

# What a damaged archive may raise.
DAMAGE = (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)

FOLDERS = {
    "mnist": ("mnist", "MNIST/raw"),
    "fashion_mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"),
}
SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
SIZES = {"mnist": "12 MB", "fashion_mnist": "31 MB"}
# Of the gzipped files: MNIST's as torchvision checks them, Fashion-MNIST's from its own README.
CHECKSUMS = {
    "mnist": {
        "train_images": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train_labels": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "test_images": "md5:9fb629c4189551a2d022fa330f9573f3",
        "test_labels": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion_mnist": {
        "train_images": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train_labels": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "test_images": "md5:bef4ecab320f06d8554ea6380940ec79",
        "test_labels": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
}


class MnistOptions(TaskOptions):
    """Which images, and how many of their pixels are read.

    `downsample` averages squares of that many pixels a side; `stride` then keeps every that-many-th pixel of the
    sequence. `validation_images` are held out of the training images.
    """

    variant: Literal["mnist", "fashion_mnist"] = "mnist"
    downsample: Literal[1, 2, 4, 7, 14] = 1
    stride: Count = Field(default=1, ge=1, le=SIDE)
    validation_images: Count = Field(default=5000, ge=1)


class Mnist(DataSetTask):
    """Inputs `[batch, length, 1]`: the pixels of an image in reading order, scaled to [0, 1]; ten classes.

    The first 5,000 training images are held out for validation, as in the TensorFlow tutorial's loader, which
    the authors' code reads MNIST with.
    """

    name = "mnist"
    summary = "MNIST or Fashion-MNIST pixel by pixel; IDX files, downloaded where missing (12 or 31 MB)"
    Options = MnistOptions
    default_protocol = Protocol(epochs=600)
    quality_metric = "accuracy"
    loss = "cross_entropy"
    input_size = 1
    output_size = CLASSES
    options: MnistOptions

    @property
    def length(self) -> int:
        """784, or fewer where pixels are averaged or left out."""
        pixels = (SIDE // self.options.downsample) ** 2
        return -(-pixels // self.options.stride)

    def data_problem(self) -> str:
        """Names the files that are missing where some of the four are there; all four can be downloaded."""
        found = self._files()
        missing = [name for array, name in ARRAYS.items() if array not in found]
        if not found or not missing or KERAS_FILE in found:
            return ""
        folder = next(iter(found.values())).parent
        return (
            f"{folder}: of the four IDX files of {self.options.variant}, {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing (plain or .gz); have them from "
            f"{SOURCES[self.options.variant]}, or remove the folder and all four are downloaded"
        )

    def downloads(self) -> bool:
        """Whether no file of this variant is there."""
        return not self._files()

    def download_told(self) -> str:
        """The four files of the variant."""
        return f"{self.options.variant} ({SIZES[self.options.variant]}) from {SOURCES[self.options.variant]}"

    def prepare(self) -> None:
        """Downloads the four files where none is there, and caches their arrays."""
        super().prepare()
        if self.downloads():
            self._download()
        _ = self._arrays

    def _download(self) -> None:
        """Fetches all four files before any of them counts as there, so that a download cut short is taken up."""
        variant = self.options.variant
        folder = self.data / FOLDERS[variant][0]
        incomplete = folder.with_name(f"{folder.name}.part")
        names = {array: f"{name}.gz" for array, name in ARRAYS.items()}
        for array, name in names.items():
            if not (incomplete / name).is_file():
                download(
                    f"{SOURCES[variant]}{name}",
                    incomplete / name,
                    checksum=CHECKSUMS[variant][array],
                    by_hand=f"put {', '.join(ARRAYS.values())} of {variant}, plain or .gz, into {folder}",
                )
        folder.mkdir(exist_ok=True)
        for name in names.values():
            (incomplete / name).replace(folder / name)
        incomplete.rmdir()

    @cached_property
    def _folder(self) -> Path:
        files = self._files()
        if not files or self.data_problem():
            raise DataError(self.data_problem() or f"{self.data}: no files of {self.options.variant}")
        return prepared_folder(
            self.data,
            self.name,
            files=files.values(),
            settings={"version": VERSION, "variant": self.options.variant},
            build=lambda folder: _build(folder, files=files),
        )

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        arrays = {array: open_array(self._folder / f"{array}.npy") for array in ARRAYS}
        images, held_out = len(arrays["train_images"]), self.options.validation_images
        if held_out >= images:
            files = self._files()
            raise DataError(
                f"{files.get('train_images', files.get(KERAS_FILE))}: {images} training images, of which "
                f"validation_images = {held_out} should be held out; lower that option"
            )
        return arrays

    def _files(self) -> dict[str, Path]:
        """The files of the first folder that holds any, by array; `mnist.npz` alone where Keras' file is there."""
        for name in FOLDERS[self.options.variant]:
            folder = self.data / name
            found = {
                array: path
                for array, stem in ARRAYS.items()
                for path in (folder / f"{stem.replace('-idx', '.idx')}", folder / f"{stem}.gz", folder / stem)
                if path.is_file()
            }
            keras = folder / KERAS_FILE
            if len(found) < len(ARRAYS) and self.options.variant == "mnist" and keras.is_file():
                return {KERAS_FILE: keras}
            if found:
                return found
        return {}

    def data_fingerprint(self) -> str:
        """Of the prepared files."""
        return content_fingerprint(self._folder)

    def rows(self, part: Part) -> Array:
        """Rows count the training images, the held-out ones first, then the test images."""
        held_out, images = self.options.validation_images, len(self._arrays["train_images"])
        bounds = {
            "validation": (0, held_out),
            "train": (held_out, images),
            "test": (images, images + len(self._arrays["test_images"])),
        }
        return np.arange(*bounds[part])

    def batch(self, rows: Array) -> Batch:
        """Reads, averages and thins out the pixels of these images."""
        images = len(self._arrays["train_images"])
        # A batch lies in one part, and so wholly before or wholly behind the last training image.
        source, places = ("test", rows - images) if rows[0] >= images else ("train", rows)
        pixels = self._arrays[f"{source}_images"][places]
        block = self.options.downsample
        # The pixels at one place of all squares at a time: as exact as a mean over squares, and much faster.
        offsets = itertools.product(range(block), repeat=2)
        sums = sum(pixels[:, row::block, column::block].astype(np.float32) for row, column in offsets)
        sequence = np.reshape(sums, (len(rows), -1))[:, :: self.options.stride] / np.float32(HIGHEST_PIXEL * block**2)
        return Batch(
            inputs=sequence[:, :, np.newaxis],
            targets=self._arrays[f"{source}_labels"][places].astype(np.int32),
        )

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()


def _build(folder: Path, *, files: dict[str, Path]) -> None:
    """Writes the four arrays, checked against one another. Raises `DataError` naming the file at fault."""
    if KERAS_FILE in files:
        arrays = _read_keras(files[KERAS_FILE])
        files = dict.fromkeys(ARRAYS, files[KERAS_FILE])
    else:
        arrays = {array: read_idx(path, dimensions=3 if "images" in array else 1) for array, path in files.items()}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        images_file, labels_file = files[f"{part}_images"], files[f"{part}_labels"]
        if images.shape[1:] != (SIDE, SIDE):
            raise DataError(f"{images_file}: images of shape {list(images.shape[1:])}, not [{SIDE}, {SIDE}]")
        if len(images) == 0:
            raise DataError(f"{images_file}: it holds no image")
        if len(images) != len(labels):
            raise DataError(f"{labels_file}: {len(labels)} labels for the {len(images)} images of {images_file}")
        if labels.max() >= CLASSES:
            place = int(np.argmax(labels >= CLASSES))
            raise DataError(
                f"{labels_file}: the label {labels[place]} of image {place} lies outside the classes 0 to {CLASSES - 1}"
            )
    for array, values in arrays.items():
        np.save(folder / f"{array}.npy", values)


def _read_keras(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {array: archive[name] for array, name in KERAS_ARRAYS.items()}
    except DAMAGE as error:
        raise DataError(f"{path}: not the file of keras.datasets.mnist ({error})") from None
    return {array: _whole(values, name=KERAS_ARRAYS[array], path=path) for array, values in arrays.items()}


def _whole(values: Array, *, name: str, path: Path) -> Array:
    """The same numbers as unsigned bytes. Raises `DataError` where they are none, such as pixels scaled to [0, 1]."""
    images = name.startswith("x")
    if not images and values.ndim != 1:
        raise DataError(f"{path}: {name} has shape {list(values.shape)}, where one label an image is due")
    highest = HIGHEST_PIXEL if images else CLASSES - 1
    due = "pixels, unscaled," if images else "labels"
    if values.dtype.kind not in "buif":
        raise DataError(f"{path}: {name} holds {values.dtype}, where {due} are whole numbers from 0 to {highest}")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.uint8)
    wrong = (whole != values) | (whole > highest)
    if wrong.any():
        raise DataError(f"{path}: {name} holds {values[wrong][0]}, where {due} are whole numbers from 0 to {highest}")
    return whole
