"""`docs/data.md` against the code: every checksum that is used stands there, and every task with files."""

from __future__ import annotations

from pathlib import Path

from bench.tasks import TASKS, imdb, mnist

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_checksum_in_use_is_listed():
    checksums = [*imdb.KERAS_CHECKSUMS.values()]
    checksums += [checksum for files in mnist.CHECKSUMS.values() for checksum in files.values()]
    for checksum in checksums:
        algorithm, _, digits = checksum.partition(":")
        assert f"{algorithm} `{digits}`" in PAGE


def test_every_size_of_a_download_is_listed() -> None:
    for variant, size in mnist.SIZES.items():
        assert f"`variant = \"{variant}\"` | downloaded | {size} |" in PAGE
    assert f"Keras' form of it is downloaded | 84 MB, or {imdb.KERAS_SIZE} |" in PAGE


def test_every_task_is_named():
    for name in TASKS:
        assert f"`{name}`" in PAGE
