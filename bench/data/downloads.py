"""Downloads of public files: progress bar, checksum, and resumption of what was cut off."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from bench.errors import DataError
from bench.machine.disk import disk_explained

ATTEMPTS = 5
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 18


class _CutError(Exception):
    """The server is there, but the transfer stopped early."""


def download(url: str, path: Path, *, checksum: str, by_hand: str, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Fetches a file; nothing stands at `path` until all of it is there and its checksum is right.

    What arrives is kept beside it as `<name>.part`. A connection that breaks is taken up again where it broke, now
    or at the next call.

    Args:
        url: where it is had.
        path: where it goes; folders are made.
        checksum: `md5:…` or `sha256:…`, in hexadecimal digits.
        by_hand: what to put where when there is no connection; ends the messages.
        pause_seconds: wait before the second attempt; each further one waits that much longer.

    Raises `DataError`: out of reach, cut off again and again, or a wrong checksum; `DiskError`: a full disk.
    """
    partial = path.with_name(path.name + ".part")
    with disk_explained(path), _progress() as progress:
        path.parent.mkdir(parents=True, exist_ok=True)
        bar = progress.add_task(path.name, total=None)
        failure = ""
        for attempt in range(ATTEMPTS):
            time.sleep(pause_seconds * attempt)
            try:
                _fetch(url, partial, progress=progress, bar=bar)
                break
            except urllib.error.HTTPError as error:
                raise DataError(f"{url}: the server answers {error.code} {error.reason}; by hand: {by_hand}") from None
            except urllib.error.URLError as error:
                raise DataError(f"{url}: out of reach ({error.reason}); by hand: {by_hand}") from None
            except (_CutError, HTTPException) as error:
                failure = _said(error)
        else:
            raise DataError(
                f"{url}: cut off {ATTEMPTS} times ({failure}); run again to go on from the "
                f"{partial.stat().st_size if partial.exists() else 0:,} bytes in {partial}, or by hand: {by_hand}"
            )
        _verify(url, partial, checksum=checksum)
        partial.replace(path)


def _fetch(url: str, partial: Path, *, progress: Progress, bar: TaskID) -> None:
    """Appends to `partial` until the file is complete. Raises `_CutError` where the connection ends early."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = cast(HTTPResponse, urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS))
    except urllib.error.HTTPError as error:
        # 416: nothing lies beyond what is already here. The checksum decides whether it is the whole file.
        if error.code == 416 and have:
            return
        raise
    except urllib.error.URLError:
        raise
    except OSError as error:  # after the connection was made
        raise _CutError(_said(error)) from None
    with response:
        if response.status != 206:
            have = 0
        # None where the server does not tell, or tells no number: the checksum decides.
        total = have + response.length if response.length is not None else None
        progress.update(bar, completed=have, total=total)
        with partial.open("ab" if have else "wb") as file:
            while chunk := _read(response):
                file.write(chunk)
                have += len(chunk)
                progress.update(bar, completed=have)
    if total is not None and have < total:
        raise _CutError(f"{have:,} of {total:,} bytes came")


def _read(response: HTTPResponse) -> bytes:
    """The next bytes. Raises `_CutError` for whatever the network or TLS raises, so that the disk is not blamed."""
    try:
        return response.read(CHUNK_BYTES)
    except OSError as error:
        raise _CutError(_said(error)) from None


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _verify(url: str, partial: Path, *, checksum: str) -> None:
    """Raises `DataError` and removes the file where its digest is another one."""
    algorithm, _, expected = checksum.partition(":")
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        partial.unlink()
        raise DataError(
            f"{url}: wrong checksum: {algorithm} {found} where {expected} is expected; the file was damaged on "
            f"its way or is another one, and was removed; run again to fetch it anew"
        )


def _progress() -> Progress:
    return Progress(
        TextColumn("downloading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )
