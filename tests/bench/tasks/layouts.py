"""Writes small data sets in the layouts in which the real ones are published."""

from __future__ import annotations

import gzip
import json
import struct
from functools import cache
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


def write_fc7(folder: Path, features: Array) -> None:
    """The fc7 features `[frames, 4096]` of one video, named by frame numbers at 24 a second like the published."""
    folder.mkdir(parents=True)
    for frame, values in enumerate(features):
        (folder / f"{folder.name}-{1 + 4 * frame:06d}.txt").write_text(_as_text(values.astype(np.float64).tobytes()))


@cache
def _as_text(values: bytes) -> str:
    """A frame's features as a line; most tests have the same."""
    return " ".join(f"{value:.6g}" for value in np.frombuffer(values)) + "\n"


CHARADES_HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"


def charades_line(video: str, actions: str, length: float) -> str:
    return f'{video},S1,Kitchen,6,7,Yes,"A person sits, then stands.",chair;table,"Sits.",{actions},{length}'


def write_charades(data: Path, *, train: int = 6, test: int = 2) -> Path:
    """Annotations and features of short videos, each with one action in its first half; returns their folder."""
    folder = data / "charades"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, size in (("train", train), ("test", test)):
        lines = [CHARADES_HEADER]
        for number in range(size):
            video, frames, action = f"{part.upper()}{number}", 6 + 3 * number, number % 3
            features = np.maximum(draw.standard_normal((frames, 4096)), 0)
            features[: frames // 2, action] += 5
            write_fc7(folder / "Charades_v1_features_rgb" / video, features)
            seconds = frames / 6
            lines.append(charades_line(video, f"c{action:03d} 0.00 {seconds / 2:.2f};c150 {seconds:.2f} 99", seconds))
        (folder / f"Charades_v1_{part}.csv").write_text("\n".join(lines) + "\n")
    return folder


UCF101_CLASSES = ("ApplyEyeMakeup", "Archery", "BabyCrawling")


def write_ucf101_lists(data: Path) -> list[str]:
    """The official lists over three classes, four training groups and one test group; returns the clips' paths."""
    folder = data / "ucf101" / "ucfTrainTestlist"
    folder.mkdir(parents=True)
    (folder / "classInd.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(UCF101_CLASSES, start=1)))
    paths: dict[str, list[str]] = {"test": [], "train": []}
    for name in UCF101_CLASSES:
        for group in range(1, 6):
            part = "test" if group == 1 else "train"
            paths[part] += [f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi" for clip in (1, 2)]
    numbers = {name: number for number, name in enumerate(UCF101_CLASSES, start=1)}
    (folder / "trainlist01.txt").write_text(
        "".join(f"{path} {numbers[path.split('/')[0]]}\r\n" for path in paths["train"])
    )
    (folder / "testlist01.txt").write_text("".join(f"{path}\r\n" for path in paths["test"]))
    return [*paths["train"], *paths["test"]]


def write_ucf101(data: Path) -> dict[str, Array]:
    """Lists and features `[frames, 2048]` of clips of 3 to 12 frames; returns the features by path."""
    draw = np.random.default_rng(0)
    written: dict[str, Array] = {}
    for path in write_ucf101_lists(data):
        features = draw.random((int(draw.integers(3, 13)), 2048), np.float32)
        features[:, UCF101_CLASSES.index(path.split("/")[0])] += 3
        file = (data / "ucf101" / "features" / path).with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, features)
        written[path] = features
    return written


def write_video(path: Path, *, frames: int, rate: int = 25, width: int = 64, height: int = 48) -> None:
    """A video whose frame k is grey with brightness 8 k; needs PyAV."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for number in range(frames):
            image = np.full((height, width, 3), 8 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
