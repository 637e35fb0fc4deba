"""Labelled film reviews: the `aclImdb` folder, or the two files of `keras.datasets.imdb`."""

from __future__ import annotations

import html
import io
import json
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from bench.errors import DataError
from impls.contract import Array

Part = Literal["train", "test"]

NEGATIVE, POSITIVE = 0, 1
FOLDER_CLASSES = {"neg": NEGATIVE, "pos": POSITIVE}
# `unsup` holds the reviews without a label.
OTHER_FOLDERS = ("unsup",)
# What a damaged archive, or a damaged pickle inside one, may raise.
DAMAGE = (
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
)
FILE_NAME = re.compile(r".+_(\d+)\.txt")
HIGHEST_RATING = 10
TAG = re.compile(r"<[^<>]*>")
# Words with their apostrophes, numbers, and the marks that carry sentiment or end a sentence.
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?.,;:()]")


def tokenised(text: str) -> list[str]:
    """Lower-case words and punctuation marks of a review; HTML tags are dropped."""
    return TOKEN.findall(TAG.sub(" ", html.unescape(text)).lower().replace("’", "'"))


@dataclass(frozen=True, kw_only=True)
class Review:
    """A review's words, its class and where it stands, for messages."""

    words: list[str]
    sentiment: int
    where: str


class Reviews(Protocol):
    """A collection of reviews with a training and a test part."""

    def files(self) -> list[Path]:
        """Every file that the collection is read from."""
        ...

    def read(self, part: Part) -> Iterator[Review]:
        """The reviews of a part in a fixed order. Raises `DataError` naming the file at fault."""
        ...


@dataclass(frozen=True)
class ReviewFolder:
    """`aclImdb/{train,test}/{pos,neg}/<id>_<rating>.txt`, one UTF-8 file a review."""

    folder: Path

    def files(self) -> list[Path]:
        """All reviews with a label."""
        return [path for part in ("train", "test") for path, _ in self._labelled(part)]

    def read(self, part: Part) -> Iterator[Review]:
        """Negative reviews first, then positive ones, each by file name."""
        for path, sentiment in self._labelled(part):
            try:
                words = tokenised(path.read_text(encoding="utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(f"{path}: not UTF-8 text ({error})") from None
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error.strerror})") from None
            if not words:
                raise DataError(f"{path}: an empty review")
            yield Review(words=words, sentiment=sentiment, where=str(path))

    def missing_folders(self) -> list[Path]:
        """Those of the four folders that are not there."""
        folders = [self.folder / part / name for part in ("train", "test") for name in FOLDER_CLASSES]
        return [folder for folder in folders if not folder.is_dir()]

    def _labelled(self, part: str) -> Iterator[tuple[Path, int]]:
        for folder in sorted((self.folder / part).iterdir()):
            if folder.is_dir() and folder.name not in (*FOLDER_CLASSES, *OTHER_FOLDERS):
                raise DataError(f"{folder}: the label {folder.name!r} lies outside the classes pos and neg")
        for name, sentiment in FOLDER_CLASSES.items():
            paths = sorted((self.folder / part / name).glob("*.txt"))
            if not paths:
                raise DataError(f"{self.folder / part / name}: it holds no review (<id>_<rating>.txt)")
            for path in paths:
                match = FILE_NAME.fullmatch(path.name)
                if not match:
                    raise DataError(f"{path}: a review's file is called <id>_<rating>.txt")
                if int(match[1]) > HIGHEST_RATING:
                    raise DataError(f"{path}: the rating {match[1]} lies outside 0 to {HIGHEST_RATING}")
                yield path, sentiment


@dataclass(frozen=True)
class KerasReviews:
    """`imdb.npz` with word numbers, and `imdb_word_index.json` with the words behind them."""

    folder: Path
    ARCHIVE: ClassVar[str] = "imdb.npz"
    WORDS: ClassVar[str] = "imdb_word_index.json"

    def files(self) -> list[Path]:
        """Both files."""
        return [self.folder / self.ARCHIVE, self.folder / self.WORDS]

    def read(self, part: Part) -> Iterator[Review]:
        """In the archive's order. Its words are already lower-case and without punctuation."""
        archive = self.folder / self.ARCHIVE
        for number, (words, sentiment) in enumerate(zip(*self._arrays[part], strict=True)):
            where = f"{archive}: {part} review {number}"
            if sentiment not in (NEGATIVE, POSITIVE):
                raise DataError(f"{where}: the label {sentiment} lies outside the classes 0 and 1")
            if len(words) == 0:
                raise DataError(f"{where}: an empty review")
            try:
                yield Review(words=[self._words[int(word)] for word in words], sentiment=int(sentiment), where=where)
            except KeyError as error:
                raise DataError(f"{where}: the word number {error} is not in {self.folder / self.WORDS}") from None

    @cached_property
    def _words(self) -> dict[int, str]:
        path = self.folder / self.WORDS
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            words = {int(number): str(word) for word, number in content.items()}
        except (UnicodeDecodeError, ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{path}: not the word index of keras.datasets.imdb ({error})") from None
        if broken := [word for word in words.values() if "\n" in word]:  # the vocabulary is kept a line a word
            raise DataError(f"{path}: the word {broken[0]!r} holds a line break")
        return words

    @cached_property
    def _arrays(self) -> dict[str, tuple[Array, Array]]:
        path = self.folder / self.ARCHIVE
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = {
                    name: _read_array(archive.read(f"{name}.npy"))
                    for name in ("x_train", "y_train", "x_test", "y_test")
                }
        except DAMAGE as error:
            raise DataError(f"{path}: not the file of keras.datasets.imdb ({error})") from None
        for part in ("train", "test"):
            reviews, labels = len(arrays[f"x_{part}"]), len(arrays[f"y_{part}"])
            if reviews != labels:
                raise DataError(f"{path}: {labels} labels for {reviews} {part} reviews")
        return {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")}


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and nothing else: a pickle from elsewhere could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = module.partition(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype", "scalar")
        if not allowed and (module, name) != ("_codecs", "encode"):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _read_array(content: bytes) -> Array:
    """A `.npy` file's array; lists of unequal length stand in it as a pickle."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    dtype = header(file)[2]
    array: Array = (
        np.asarray(_ArrayUnpickler(file).load())
        if dtype.hasobject
        else np.load(io.BytesIO(content), allow_pickle=False)
    )
    return array
