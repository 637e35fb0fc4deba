"""Downloads from a server of our own: whole, cut off, refused, damaged, and onto a full disk."""

from __future__ import annotations

import errno
import hashlib
import itertools
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.errors import DataError, DiskError
from bench.tasks import build_task
from bench.data.downloads import ATTEMPTS, CHUNK_BYTES, download
from tests.bench.tasks.layouts import write_mnist

CONTENT = bytes(range(256)) * 4096
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `CONTENT`, cutting off the first `cuts` answers half-way through what was asked for.

    `length` is what it says of the length instead of the truth.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts = 0
        self.length: str | None = None
        self.ranges = True
        self.asked: list[str | None] = []
        self.files: dict[str, bytes] = {"/file.bin": CONTENT}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", self.server.length or str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if self.server.cuts > 0:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: Server, path: Path, *, checksum: str = CHECKSUM) -> None:
    download(server.url, path, checksum=checksum, by_hand="put it there", pause_seconds=0)


def test_a_whole_file_arrives_with_its_folders(server: Server, tmp_path: Path):
    path = tmp_path / "mnist" / "file.bin"
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    server.cuts = 2
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLError("decryption failed or bad record mac"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        OSError(errno.EIO, "Input/output error"),
        TimeoutError("timed out"),
    ],
    ids=repr,
)
def test_whatever_breaks_the_reading_is_taken_up_where_it_broke(
    server: Server, tmp_path: Path, monkeypatch, error: OSError
):
    read, reads = HTTPResponse.read, itertools.count()

    def broken(response: HTTPResponse, amount: int) -> bytes:
        if next(reads) == 1:
            raise error
        return read(response, amount)

    monkeypatch.setattr(HTTPResponse, "read", broken)
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={CHUNK_BYTES}-"]


def test_an_answer_that_breaks_before_it_begins_is_asked_for_again(server: Server, tmp_path: Path, monkeypatch):
    begin, begun = HTTPResponse.begin, itertools.count()

    def broken(response: HTTPResponse) -> None:
        if next(begun) == 0:
            raise ssl.SSLError("wrong version number")
        begin(response)

    monkeypatch.setattr(HTTPResponse, "begin", broken)
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_length_that_is_no_number_is_none(server: Server, tmp_path: Path):
    server.length = "abc"
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_is_read_from_the_start_again(server: Server, tmp_path: Path):
    server.cuts, server.ranges = 1, False
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_what_arrived_is_kept_for_the_next_call(server: Server, tmp_path: Path):
    server.cuts = ATTEMPTS
    with pytest.raises(DataError, match=r"cut off 5 times .* run again to go on from the [\d,]+ bytes"):
        fetch(server, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
    arrived = (tmp_path / "file.bin.part").stat().st_size
    assert arrived > 0
    fetch(server, tmp_path / "file.bin")
    assert server.asked[-1] == f"bytes={arrived}-"
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_needs_only_its_checksum(server: Server, tmp_path: Path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path):
    with pytest.raises(DataError, match=r"wrong checksum: md5 [0-9a-f]{32} where 0000 is expected"):
        fetch(server, tmp_path / "file.bin", checksum="md5:0000")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_told_with_what_to_do(server: Server, tmp_path: Path):
    del server.files["/file.bin"]
    with pytest.raises(DataError, match=r"answers 404 .* by hand: put it there"):
        fetch(server, tmp_path / "file.bin")


def test_a_server_out_of_reach_is_told_with_what_to_do(tmp_path: Path):
    with pytest.raises(DataError, match=r"out of reach .* by hand: put it there"):
        download(
            "http://127.0.0.1:9/file.bin",
            tmp_path / "file.bin",
            checksum=CHECKSUM,
            by_hand="put it there",
            pause_seconds=0,
        )


def test_a_full_disk_is_told_and_what_arrived_is_kept(server: Server, tmp_path: Path, monkeypatch):
    opened = Path.open

    def full_after_one_chunk(path: Path, mode: str = "r", *arguments, **keywords):
        file = opened(path, mode, *arguments, **keywords)
        if path.suffix == ".part" and mode in ("wb", "ab"):
            written = file.write

            class Full:
                def write(self, chunk: bytes) -> int:
                    if file.tell() > 0:
                        raise OSError(errno.ENOSPC, "No space left on device")
                    return written(chunk)

                def __enter__(self):
                    return self

                def __exit__(self, *arguments: object) -> None:
                    file.close()

            return Full()
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full_after_one_chunk)
        with pytest.raises(DiskError, match=r"the disk is full \([\d,]+ bytes are free"):
            fetch(server, tmp_path / "file.bin")
    assert 0 < (tmp_path / "file.bin.part").stat().st_size < len(CONTENT)
    fetch(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_mnist_is_downloaded_where_no_file_of_it_is_there(server: Server, tmp_path: Path, monkeypatch):
    write_mnist(tmp_path / "published", variant="fashion_mnist", gzipped=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "published/fashion_mnist").iterdir()}
    server.files = {f"/{name}": content for name, content in files.items()}
    module = "bench.tasks.mnist"
    monkeypatch.setattr(f"{module}.SOURCES", {"fashion_mnist": server.url.removesuffix("file.bin")})
    task = build_task("mnist", {"variant": "fashion_mnist", "validation_images": 10}, data=tmp_path / "data")
    assert task.data_problem() == ""
    assert task.downloads()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: wrong checksum"):
        task.prepare()
    digests = {name: "md5:" + hashlib.md5(content).hexdigest() for name, content in files.items()}
    arrays = ("train_images", "train_labels", "test_images", "test_labels")
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    checksums = {array: digests[f"{name}-ubyte.gz"] for array, name in zip(arrays, names, strict=True)}
    monkeypatch.setattr(f"{module}.CHECKSUMS", {"fashion_mnist": checksums})
    last = server.files.pop("/t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: the server answers 404"):
        task.prepare()
    assert task.downloads(), "three of four files are not yet the data set"
    server.files["/t10k-labels-idx1-ubyte.gz"] = last
    server.asked.clear()
    task.prepare()
    assert len(server.asked) == 1, "only the file that was missing is asked for"
    assert not task.downloads()
    assert task.steps_per_epoch(50) == 1
