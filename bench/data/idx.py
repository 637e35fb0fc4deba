"""IDX files, the format of MNIST and its kin, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bench.errors import DataError
from impls.contract import Array

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTES = 0x08


def read_idx(path: Path, *, dimensions: int) -> Array:
    """An array of unsigned bytes with this number of dimensions.

    The format: a magic number (two zero bytes, the type of the elements, the number of dimensions), one big-endian
    32-bit size a dimension, then the elements in row-major order.

    Raises `DataError` naming the file: a wrong magic number, or fewer or more bytes than its header says.
    """
    content = _content(path)
    header_bytes = 4 + 4 * dimensions
    expected = struct.pack(">BBBB", 0, 0, UNSIGNED_BYTES, dimensions)
    if content[:4] != expected:
        raise DataError(
            f"{path}: wrong magic number 0x{content[:4].hex() or '(empty file)'} where 0x{expected.hex()} is "
            f"expected: not an IDX file of unsigned bytes in {dimensions} dimension{'s' * (dimensions > 1)}"
        )
    if len(content) < header_bytes:
        raise DataError(f"{path}: truncated: it ends after {len(content)} bytes, inside its header")
    shape = struct.unpack(f">{dimensions}I", content[4:header_bytes])
    there, due = len(content) - header_bytes, math.prod(shape)
    if there != due:
        kind = "truncated" if there < due else "too long"
        sizes = " × ".join(map(str, shape))
        raise DataError(f"{path}: {kind}: {there:,} bytes of data where its header says {sizes} = {due:,}")
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)


def _content(path: Path) -> bytes:
    """The file's bytes, unpacked where they begin as gzip does, whatever the file is called."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
