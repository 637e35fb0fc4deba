"""Writes small data sets in the layouts in which the real ones are published."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np

from impls.contract import Array

POSITIVE_WORDS = ["great", "superb", "moving", "funny", "brilliant"]
NEGATIVE_WORDS = ["dull", "awful", "boring", "weak", "terrible"]
OTHER_WORDS = ["the", "film", "plot", "is", "was", "with", "a", "an", "actor", "scene"]


def idx_bytes(array: Array) -> bytes:
    """An array of unsigned bytes as an IDX file holds it."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def mnist_arrays(*, train: int = 60, test: int = 20) -> dict[str, Array]:
    """Images whose brightness tells their class, under the names of MNIST's files."""
    draw = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for name, size in (("train", train), ("t10k", test)):
        labels = np.arange(size) % 10
        arrays[f"{name}-images-idx3-ubyte"] = draw.integers(0, 20, (size, 28, 28)) + 20 * labels[:, None, None]
        arrays[f"{name}-labels-idx1-ubyte"] = labels
    return arrays


def write_mnist(data: Path, *, variant: str = "mnist", gzipped: bool = False, **sizes: int) -> dict[str, Array]:
    """The four IDX files; returns what is in them."""
    folder = data / variant
    folder.mkdir(parents=True)
    arrays = mnist_arrays(**sizes)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / (name + ".gz" * gzipped)).write_bytes(gzip.compress(content) if gzipped else content)
    return arrays


def write_reviews(data: Path, *, train: int = 40, test: int = 12) -> Path:
    """An aclImdb folder with this many reviews a part, half of them positive; returns it."""
    draw = np.random.default_rng(0)
    for part, size in (("train", train), ("test", test)):
        for number in range(size):
            positive = number % 2 == 0
            folder = data / "aclImdb" / part / ("pos" if positive else "neg")
            folder.mkdir(parents=True, exist_ok=True)
            words = draw.choice(OTHER_WORDS, draw.integers(2, 12)).tolist()
            words += draw.choice(POSITIVE_WORDS if positive else NEGATIVE_WORDS, 2).tolist()
            (folder / f"{number}_{9 if positive else 2}.txt").write_text(" ".join(words) + ".<br />", "utf-8")
    return data / "aclImdb"


def write_keras_reviews(data: Path, *, train: int = 40, test: int = 12) -> Path:
    """`imdb.npz` and `imdb_word_index.json` as keras.datasets ships them; returns their folder."""
    folder = data / "imdb"
    folder.mkdir(parents=True)
    words = [*OTHER_WORDS, *POSITIVE_WORDS, *NEGATIVE_WORDS]
    (folder / "imdb_word_index.json").write_text(json.dumps({word: n for n, word in enumerate(words, start=1)}))
    draw = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for part, size in (("train", train), ("test", test)):
        reviews = np.empty(size, object)
        for number in range(size):
            reviews[number] = draw.integers(1, len(words) + 1, draw.integers(2, 12)).tolist()
        arrays[f"x_{part}"], arrays[f"y_{part}"] = reviews, np.arange(size) % 2
    np.savez(folder / "imdb.npz", **arrays)
    return folder
