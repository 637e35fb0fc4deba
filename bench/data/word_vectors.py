"""Trained word vectors in word2vec's binary or text format, read by gensim (optional)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.errors import DataError
from impls.contract import Array

FOLDER = "word_vectors"
BINARY_SUFFIXES = (".bin", ".bin.gz")


def word_vectors_problem(path: Path) -> str:
    """Empty where the file and gensim are there; else which is missing and how to have it."""
    if importlib.util.find_spec("gensim") is None:
        return f"{path.name}: gensim, which reads word vectors, is missing: pip install 'skiprnn-bench[word_vectors]'"
    if not path.is_file():
        return (
            f"{path}: there is no such file of word vectors (word2vec's binary .bin or text .txt, plain or .gz); "
            f"the paper's are GoogleNews-vectors-negative300.bin (3.6 GB), from "
            f"https://code.google.com/archive/p/word2vec/; or leave the option word_vectors out to draw them from "
            f"U(−0.25, 0.25)"
        )
    return ""


def read_word_vectors(path: Path, *, words: Sequence[str], size: int) -> tuple[Array, Array]:
    """The vectors of those words that have one.

    Args:
        path: `.bin` or `.bin.gz` in word2vec's binary format, any other in its text format.
        words: the words asked for.
        size: the width that the vectors must have.

    Returns:
        Places `[found]` in `words`, and vectors `[found, size]` float32.

    Raises `DataError`: gensim or the file is missing, another format, another width, or NaN.
    """
    if problem := word_vectors_problem(path):
        raise DataError(problem)
    from gensim.models.keyedvectors import KeyedVectors

    try:
        vectors = KeyedVectors.load_word2vec_format(str(path), binary=path.name.endswith(BINARY_SUFFIXES))
    except (ValueError, EOFError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not word vectors in word2vec's format ({error})") from None
    except MemoryError:
        raise DataError(f"{path}: its first line asks for more vectors than this machine's memory holds") from None
    if vectors.vector_size != size:
        raise DataError(f"{path}: vectors of width {vectors.vector_size}; set embedding_size to it (now {size})")
    places = np.array([place for place, word in enumerate(words) if word in vectors.key_to_index], np.int64)
    found = np.stack([vectors[words[place]] for place in places]) if len(places) else np.zeros((0, size))
    if not np.isfinite(found).all():
        raise DataError(f"{path}: it holds numbers that are not finite")
    return places, found.astype(np.float32)
