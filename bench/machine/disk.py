"""Files that are written whole or not at all, and what the user reads when the disk is full, read-only or gone."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from bench.errors import DiskError

# What a disk answers to whoever asks: what is wrong, and what to do. The files on it are not at fault.
TROUBLES = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the quota of the disk is used up", "free some space"),
    errno.EFBIG: ("the file is larger than allowed", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the disk is read-only", "make it writable or choose another folder"),
    errno.EIO: ("the disk fails", "look after the disk"),
    errno.ESTALE: ("the disk is gone", "connect it"),
    errno.ENOTCONN: ("the disk is gone", "connect it"),
    errno.ENODEV: ("the disk is gone", "connect it"),
    errno.EXDEV: ("it would go to another disk", "keep the whole results folder on one disk"),
}
# What it answers about one place alone; elsewhere these are somebody else's mistake.
TROUBLES_OF_A_PLACE = {
    errno.ENOENT: ("its folder is gone", "see what became of it"),
    errno.ENOTDIR: ("its folder is no folder", "see what became of it"),
    errno.EEXIST: ("a file stands in its place", "remove it or choose another folder"),
    errno.ENAMETOOLONG: ("its name is too long for the disk", "give it a shorter one"),
    errno.EACCES: ("it may not be written", "change its permissions or choose another folder"),
    errno.EPERM: ("it may not be written", "change its permissions or choose another folder"),
}
# Of one who may not write in a place, whatever the reason.
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
# Of one that knows no locks.
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
FULL = (errno.ENOSPC, errno.EDQUOT)
# Seconds from which on an answer of the disk is slow.
SLOW_SECONDS = 0.2
# Seconds between tries to lock a file that another process has locked.
LOCK_SECONDS = 0.5


_say_slow: ContextVar[Callable[[], None]] = ContextVar("_say_slow", default=lambda: None)


@contextmanager
def slow_answers_told(say: Callable[[], None]) -> Iterator[None]:
    """Has `say` called whenever a disk has answered slowly to this thread, step by step of each file.

    Whoever waits for a file is idle, and yet alive.
    """
    token = _say_slow.set(say)
    try:
        yield
    finally:
        _say_slow.reset(token)


@contextmanager
def _answer() -> Iterator[None]:
    begun = time.monotonic()
    yield
    if time.monotonic() - begun >= SLOW_SECONDS:
        _say_slow.get()()


@contextmanager
def disk_explained(path: Path) -> Iterator[None]:
    """Turns an `OSError` that the disk is to blame for, raised while `path` is written, into a `DiskError`."""
    try:
        yield
    except OSError as error:
        told = disk_trouble(error, path=path)
        if told is None:
            raise
        raise told from None


def disk_trouble(error: OSError, *, path: Path) -> DiskError | None:
    """The error as one line about `path`; None where the disk is not to blame for it."""
    number = errno.ENOSPC if _is_short_write(error) else error.errno
    found = TROUBLES.get(number or 0)
    if found is None and _is_about(error, path) and not (number == errno.ENOENT and path.parent.is_dir()):
        found = TROUBLES_OF_A_PLACE.get(number or 0)
    if found is None:
        return None
    what, advice = found
    if number in FULL:
        place = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        what += f" ({shutil.disk_usage(place).free:,} bytes are free in {place})"
    return DiskError(f"{path}: {what}; {advice}, and run again to go on")


def check_folder(folder: Path) -> None:
    """Raises `DiskError` where a file stands in the way of the folder; makes nothing."""
    with disk_explained(folder):
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not there.is_dir():
            number = errno.EEXIST if there == folder else errno.ENOTDIR
            raise OSError(number, os.strerror(number), str(folder))


class Place:
    """A folder that has to stay where it is while a program works in it."""

    def __init__(self, folder: Path) -> None:
        """Makes it where it is missing. Raises `DiskError` where the disk does not take it."""
        self._folder = folder
        with disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._number = self._find()

    def check(self) -> None:
        """Raises `DiskError` where it is gone, or another one stands in its place."""
        if self._find() != self._number:
            raise DiskError(f"{self._folder}: the folder is gone; see what became of it, and run again to go on")

    def _find(self) -> int | None:
        try:
            return self._folder.stat().st_ino
        except OSError:  # whatever it is, it is not there
            return None


def _is_short_write(error: OSError) -> bool:
    """NumPy tells a full disk so, without a number: `80 requested and 16 written`."""
    return error.errno is None and " requested and " in str(error) and str(error).endswith(" written")


def _is_about(error: OSError, path: Path) -> bool:
    """Whether the error names the path, what stands beside or below it, or a folder that holds it."""
    if not isinstance(error.filename, str | os.PathLike):
        return False
    named = Path(os.path.abspath(error.filename))
    wanted = Path(os.path.abspath(path))
    return named.is_relative_to(wanted.parent) or wanted.is_relative_to(named)


def write_atomically(path: Path, write: Callable[[Path], None], *, durable: bool = True) -> None:
    """Writes a file under a temporary name beside it, syncs, and renames: readers see all of it or none.

    Its folder must be there: one that is gone while a trial runs is not to be made anew. What somebody left who was
    killed while he wrote the same file is removed. Raises `DiskError` where the disk does not take the file.

    Args:
        path: of the file.
        write: writes it under another name.
        durable: whether it is to outlive the machine, not only the process: then it is synced, which takes time.
    """
    with disk_explained(path):
        _remove_abandoned(path)
        while not _written(path, write, durable=durable):
            pass
        if not durable:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            with _answer():
                os.fsync(folder)
        finally:
            os.close(folder)


def _written(path: Path, write: Callable[[Path], None], *, durable: bool) -> bool:
    """Writes a file under a name of its own, and renames it; False where another took it for abandoned meanwhile.

    It is locked for as long as it is written, and gone whenever this ends: its name is known before there is a file,
    since a signal may end this between any two of its steps.
    """
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    handle = None
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):  # a disk without locks: then nobody removes what is left
            fcntl.flock(handle, fcntl.LOCK_EX)
        if not os.fstat(handle).st_nlink:  # before it was locked
            return False
        with _answer():
            write(temporary)
        if durable:
            with _answer(), temporary.open("rb+") as file:
                os.fsync(file.fileno())
        with _answer():
            temporary.chmod(0o644)
            temporary.replace(path)
        return True
    finally:
        temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def check_is_file(path: Path) -> None:
    """Raises `OSError` where something else than a file stands: whoever reads a pipe waits for somebody who writes."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")


def read_text(path: Path) -> str:
    """A text file. Raises `OSError`, also where something else stands, and `UnicodeDecodeError`."""
    check_is_file(path)
    return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """A text file, as `write_atomically` writes it."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_bytes(path: Path, content: bytes) -> None:
    """A file, as `write_atomically` writes it."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def _remove_abandoned(path: Path) -> None:
    """Removes the temporary files of `path` whose writers are gone: their locks went with them."""
    for temporary in path.parent.glob(f".{glob.escape(path.stem)}-{8 * '?'}{glob.escape(path.suffix)}"):
        try:
            handle = os.open(temporary, os.O_RDONLY)
        except OSError:  # it has just come to its place
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Of this very file: a writer that was slow may have come to its place by now.
            if os.fstat(handle).st_ino == temporary.stat().st_ino:
                temporary.unlink()
        except OSError:
            pass
        finally:
            os.close(handle)


def locked(handle: int) -> bool:
    """Locks an open file for this process, on a shared disk too, unless another has it; whether it is its own.

    A disk without locks keeps nobody away. Closing the file ends the lock.
    """
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def wait_until_locked(handle: int) -> None:
    """As `locked`, once no other process has the file; who waits is as alive as where a disk is slow."""
    while not locked(handle):
        _say_slow.get()()
        time.sleep(LOCK_SECONDS)


def copy_folder(source: Path, target: Path, *, leaving_out: str) -> None:
    """Copies a folder's files to a new one, but for one name. Links stay links: they may lead anywhere.

    Raises `DiskError` at the first file that the disk does not give or take; then nothing stands at `target`.
    """

    def copy(one: str, other: str) -> None:
        with disk_explained(Path(one)), disk_explained(Path(other)):
            shutil.copy2(one, other, follow_symlinks=False)

    try:
        with disk_explained(target):
            shutil.copytree(
                source, target, symlinks=True, ignore=shutil.ignore_patterns(leaving_out), copy_function=copy
            )
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, shutil.Error):  # of folders inside; it lists (source, target, what is wrong)
            raise DiskError(f"{target}: cannot be copied from {source} ({error.args[0][0][2]}); run again") from None
        raise


def exchange_folder(folder: Path, place: Path, *, before: Path) -> None:
    """Puts a folder in its place; what was there stands at `before`, and comes back if that fails. Raises `OSError`."""
    try:
        if place.exists():
            place.rename(before)
        folder.rename(place)
    finally:  # a signal may end this between any two steps
        if before.exists() and not place.exists():
            before.rename(place)


def remove_folder(folder: Path) -> None:
    """Removes a folder with all that is in it; of a link to one the link alone. Raises `OSError`."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)
