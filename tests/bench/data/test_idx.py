"""IDX files: what is read, and what damaged files are answered with."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.data.idx import read_idx
from tests.bench.tasks.layouts import idx_bytes

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = idx_bytes(IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_reads_plain_and_gzipped_files_by_their_content(tmp_path: Path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(read_idx(path, dimensions=3), IMAGES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(WHOLE[:-1], "truncated: 23 bytes of data where its header says 2 × 3 × 4 = 24", id="cut in data"),
        pytest.param(WHOLE[:9], "truncated: it ends after 9 bytes, inside its header", id="cut in header"),
        pytest.param(WHOLE + b"0", "too long: 25 bytes", id="too long"),
        pytest.param(
            idx_bytes(IMAGES[0]), "wrong magic number 0x00000802 where 0x00000803 is expected", id="dimensions"
        ),
        pytest.param(b"\0\0\x0d\3" + bytes(20), "wrong magic number 0x00000d03", id="number type"),
        pytest.param(b"<html>not found</html>", "wrong magic number 0x3c68746d", id="web page"),
        pytest.param(b"", "wrong magic number", id="empty"),
        pytest.param(gzip.compress(WHOLE)[:-6], "truncated or damaged gzip file", id="gzip cut"),
        pytest.param(gzip.compress(WHOLE)[:14] + b"\xff" * 20, "truncated or damaged gzip file", id="gzip damaged"),
        pytest.param(gzip.compress(WHOLE[:-1]), "truncated: 23 bytes", id="cut, then gzip"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path}: {said}")):
        read_idx(path, dimensions=3)
