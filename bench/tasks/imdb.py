"""IMDB: the sentiment of film reviews, word by word (Table 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from bench.data.downloads import download
from bench.data.prepared import content_fingerprint, open_array, prepared_folder
from bench.data.reviews import KerasReviews, Review, ReviewFolder, Reviews
from bench.data.sequences import Sequences, SequenceWriter
from bench.data.word_vectors import FOLDER, read_word_vectors, word_vectors_problem
from bench.errors import DataError
from bench.tasks.base import Accuracy, Score, Split, TaskOptions
from bench.tasks.data_set import DataSetTask, Part
from bench.tasks.protocol import Count, Protocol
from bench.tasks.randomness import permutation
from impls.contract import Array, Batch

VALIDATION_SHARE = 0.15
SPLIT_SEED = 0
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
VERSION = 1

REVIEW_FOLDERS = ("aclImdb", "imdb/aclImdb")
KERAS_FOLDER = "imdb"
KERAS_SOURCE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
KERAS_SIZE = "19 MB"
# As `keras.datasets.imdb` checks them.
KERAS_CHECKSUMS = {
    KerasReviews.ARCHIVE: "sha256:69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    KerasReviews.WORDS: "md5:bfafd718b763782e994055a2d397834f",
}


class ImdbOptions(TaskOptions):
    """How a review becomes a sequence, and what its words start from.

    Attributes:
        length: words of a sequence; longer reviews lose their end.
        padding: `front` puts zero tokens before a shorter review and reads them like words, so that every sequence
            takes `length` steps, as the published updates of plain cells do; `masked` puts them behind it, and
            they are no steps at all.
        vocabulary: this many of the most frequent training words have a token of their own; 0 for all of them.
        embedding_size: width of a word's vector.
        word_vectors: a file in `word_vectors/` of the data directory, from which the words it knows start; all
            others, and all words where it is empty, start from U(−0.25, 0.25).
    """

    length: Count = Field(default=200, ge=1)
    padding: Literal["front", "masked"] = "front"
    vocabulary: Count = Field(default=0, ge=0)
    embedding_size: Count = Field(default=300, ge=1)
    word_vectors: str = ""


class Imdb(DataSetTask):
    """Inputs `[batch, length]` tokens: 0 padding, 1 a word outside the vocabulary, 2 the most frequent word, …

    Two classes: 0 negative, 1 positive. 15 % of the training reviews are held out for validation, and the
    vocabulary is made of the other 85 %.
    """

    name = "imdb"
    summary = f"sentiment of film reviews word by word; aclImdb folder, or downloaded ({KERAS_SIZE})"
    Options = ImdbOptions
    # The paper does not say how many epochs.
    default_protocol = Protocol(epochs=100, dropout=0.2)
    default_units = (128,)
    quality_metric = "accuracy"
    loss = "cross_entropy"
    output_size = 2
    options: ImdbOptions

    @property
    def length(self) -> int:
        """Words of a sequence."""
        return self.options.length

    @property
    def input_size(self) -> int:
        """Width of a word's vector."""
        return self.options.embedding_size

    @property
    def vocabulary_size(self) -> int:
        """Tokens, those for padding and unknown words included. Reads the data."""
        return FIRST_WORD + len(self._words)

    @property
    def _layout(self) -> str:
        return (
            f"unpack aclImdb_v1.tar.gz from https://ai.stanford.edu/~amaas/data/sentiment/ into {self.data}, so that "
            f"{self.data / REVIEW_FOLDERS[0]} holds train/pos, train/neg, test/pos and test/neg with a file "
            f"<id>_<rating>.txt for each review; or put {' and '.join(KERAS_CHECKSUMS)} of keras.datasets.imdb into "
            f"{self.data / KERAS_FOLDER}"
        )

    def data_problem(self) -> str:
        """A folder without one of its parts, or a lack of word vectors; reviews as such can be downloaded."""
        source = self._source()
        if isinstance(source, ReviewFolder) and (missing := source.missing_folders()):
            return f"{', '.join(map(str, missing))}: missing; {self._layout}"
        if self.options.word_vectors:
            return word_vectors_problem(self._word_vectors_file)
        return ""

    def downloads(self) -> bool:
        """Whether neither form of the reviews is there."""
        return self._source() is None

    def download_told(self) -> str:
        """The two files of `keras.datasets.imdb`."""
        return f"{' and '.join(KERAS_CHECKSUMS)} ({KERAS_SIZE}) from {KERAS_SOURCE}"

    def prepare(self) -> None:
        """Downloads the files of `keras.datasets.imdb` where there are no reviews, and caches tokens."""
        super().prepare()
        if self.downloads():
            for name, checksum in KERAS_CHECKSUMS.items():
                path = self.data / KERAS_FOLDER / name
                if not path.is_file():
                    download(f"{KERAS_SOURCE}{name}", path, checksum=checksum, by_hand=self._layout)
        _ = self._folder, self._word_vectors

    def _source(self) -> Reviews | None:
        """The reviews that are present: the aclImdb folder before Keras' files."""
        for name in REVIEW_FOLDERS:
            if (self.data / name).is_dir():
                return ReviewFolder(self.data / name)
        keras = KerasReviews(self.data / KERAS_FOLDER)
        return keras if all(path.is_file() for path in keras.files()) else None

    @property
    def _word_vectors_file(self) -> Path:
        return self.data / FOLDER / self.options.word_vectors

    @cached_property
    def _folder(self) -> Path:
        source = self._source()
        if source is None or self.data_problem():
            raise DataError(self.data_problem() or f"{self.data / KERAS_FOLDER}: no reviews")
        return prepared_folder(
            self.data,
            self.name,
            files=source.files(),
            settings={"version": VERSION, "vocabulary": self.options.vocabulary},
            build=lambda folder: _build(folder, reviews=source, limit=self.options.vocabulary),
        )

    @cached_property
    def _tokens(self) -> Sequences:
        return Sequences(self._folder, "tokens")

    @cached_property
    def _labels(self) -> Array:
        return open_array(self._folder / "labels.npy")

    @cached_property
    def _words(self) -> list[str]:
        with (self._folder / "words.txt").open(encoding="utf-8", newline="\n") as file:  # a word may hold a "\r"
            return file.read().split("\n")

    @cached_property
    def _word_vectors(self) -> tuple[Array, Array] | None:
        """Places in the vocabulary and their trained vectors, cached beside the tokens.

        Raises `DataError` where no word has one.
        """
        if not self.options.word_vectors:
            return None

        def build(folder: Path) -> None:
            places, vectors = read_word_vectors(
                self._word_vectors_file, words=self._words, size=self.options.embedding_size
            )
            np.save(folder / "places.npy", places)
            np.save(folder / "vectors.npy", vectors)

        folder = prepared_folder(
            self.data,
            FOLDER,
            files=[self._word_vectors_file, self._folder / "words.txt"],
            settings={"version": VERSION, "embedding_size": self.options.embedding_size},
            build=build,
        )
        places, vectors = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("places", "vectors"))
        if len(places) == 0:
            raise DataError(
                f"{self._word_vectors_file}: it knows none of the {len(self._words):,} words of the vocabulary, which "
                f"are English and in lower case; name another file, or leave the option word_vectors out"
            )
        return places, vectors

    def initial_values(self, drawn: Mapping[str, Array]) -> dict[str, Array]:
        """Rows of the embedding for words with a trained vector; the others stay as drawn, from U(−0.25, 0.25).

        Prints how many have one.
        """
        values = dict(drawn)
        if self._word_vectors is not None:
            places, vectors = self._word_vectors
            share = len(places) / len(self._words)
            print(
                f"{len(places):,} of the {len(self._words):,} words of the vocabulary ({share:.1%}) start from "
                f"{self._word_vectors_file}",
                flush=True,
            )
            embedding = values["embedding.weights"].copy()
            embedding[places + FIRST_WORD] = vectors
            values["embedding.weights"] = embedding
        return values

    def data_fingerprint(self) -> str:
        """Of the prepared files."""
        return content_fingerprint(self._folder)

    def rows(self, part: Part) -> Array:
        """Rows count the training reviews, then the test reviews."""
        return open_array(self._folder / f"{part}.npy")

    def batch(self, rows: Array) -> Batch:
        """Reads the first words of these reviews."""
        front = self.options.padding == "front"
        tokens, mask = self._tokens.padded(rows, length=self.length, front=front, dtype=np.int32)
        return Batch(inputs=tokens, targets=self._labels[rows], mask=None if front else mask)

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()


def _build(folder: Path, *, reviews: Reviews, limit: int) -> None:
    """Writes tokens, labels, words and parts; reads the reviews twice, so that memory holds one at a time."""
    examples = sum(1 for _ in reviews.read("train"))
    held_out = round(VALIDATION_SHARE * examples)
    if not 0 < held_out < examples:
        raise DataError(f"{reviews.files()[0].parent}: {examples} training reviews are too few to hold out 15 %")
    order = permutation(examples, seed=SPLIT_SEED, stream="imdb/split", epoch=0)
    validation, train = np.sort(order[:held_out]), np.sort(order[held_out:])
    words = _vocabulary(reviews.read("train"), rows=set(train.tolist()), limit=limit)
    tokens = {word: token for token, word in enumerate(words, start=FIRST_WORD)}
    labels: list[int] = []
    with SequenceWriter(folder, "tokens", step_shape=(), dtype=np.int32) as writer:
        for part in ("train", "test"):
            for review in reviews.read(part):
                writer.add(np.array([tokens.get(word, UNKNOWN) for word in review.words], np.int32))
                labels.append(review.sentiment)
    np.save(folder / "labels.npy", np.array(labels, np.int32))
    np.save(folder / "train.npy", train)
    np.save(folder / "validation.npy", validation)
    np.save(folder / "test.npy", np.arange(examples, len(labels)))
    (folder / "words.txt").write_text("\n".join(words), encoding="utf-8")


def _vocabulary(reviews: Iterator[Review], *, rows: set[int], limit: int) -> list[str]:
    """Words of the reviews in `rows`, the most frequent first, equally frequent ones in alphabetical order."""
    counts: Counter[str] = Counter()
    for row, review in enumerate(reviews):
        if row in rows:
            counts.update(review.words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return ranked[:limit] if limit else ranked
