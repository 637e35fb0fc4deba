"""What TensorFlow's compiler made, kept on this machine for the next trial like it, as Numba keeps PyTorch's kernels.

    <cache>/tensorflow/<key>/<TensorFlow's name of a program>.<checksum>

TensorFlow compares a program with what is asked for, whole, before it runs it. But it reads and writes these files in
place: one that was cut off, or a disk that is full, fails whoever compiles. So a process has a folder of its own, which
begins with whole files of the cache, and the cache takes whole files from it in the end.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.errors import DiskError
from bench.machine.disk import disk_explained, write_bytes
from bench.machine.environment import package_versions, processor, processor_features
from bench.machine.processes import machine_name
from bench.machine.scratch import scratch_folder
from bench.machine.variables import PROGRAMS_OPTION, PROGRAMS_VARIABLE, library_settings

FOLDER_VARIABLE = "SKIPRNN_BENCH_CACHE"  # names the cache; where it is empty, nothing is kept
MOST_BYTES = 1 << 30  # of all that is kept; what was used longest ago goes first
LEAST_FREE = 256 << 20  # bytes, of the disk
OTHERS_WRITE = 0o022  # of a folder's mode

_begun: list[Path] = []  # TensorFlow reads its flags once a process


def cache_folder() -> Path | None:
    """A folder in the user's cache, or where `SKIPRNN_BENCH_CACHE` says; None for nowhere."""
    told = os.environ.get(FOLDER_VARIABLE)
    if told is not None:
        return Path(told).absolute() if told else None
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(caches):  # nobody heeds another one
        caches = os.path.expanduser("~/.cache")
    return Path(caches, "skiprnn-bench") if os.path.isabs(caches) else None  # else the user has no home


@contextmanager
def programs_kept(configuration: str, *, threads: int) -> Iterator[None]:
    """Has TensorFlow take its programs from those of earlier processes, and keeps what it has to compile.

    They are native code. So they come from nowhere but a folder that is this user's and that nobody else may write in,
    and stand under a key of all that they depend on besides their own text: the processor and what it can do, the
    version of TensorFlow, the number of threads, the user's settings. Where nothing can be kept all is compiled, and a
    line is printed that says why. A process's first call alone has an effect.

    Args:
        configuration: of the trial, whatever its seed: by it few files are found among all.
        threads: of the framework.
    """
    cache = cache_folder()
    flags = os.environ.get(PROGRAMS_VARIABLE, "")
    if cache is None or _begun or PROGRAMS_OPTION in flags:
        yield
        return
    with ExitStack() as stack:
        try:
            _check(cache)
            own = stack.enter_context(scratch_folder(cache / "running" / _name_of(machine_name())))
            kept = cache / "tensorflow" / _key(configuration, threads=threads)
            _hand_out(kept, own)
        except (DiskError, OSError) as error:  # a cache costs no trial
            print(f"compiled programs are not kept: {error}", flush=True)
            yield
            return
        _begun.append(own)
        os.environ[PROGRAMS_VARIABLE] = f"{flags} {PROGRAMS_OPTION}{own}"
        try:
            yield
        finally:
            os.environ[PROGRAMS_VARIABLE] = flags
            try:
                _take_in(own, kept)
            except (DiskError, OSError) as error:  # a cache costs no trial
                print(f"compiled programs are not kept: {error}", flush=True)


def _check(cache: Path) -> None:
    """Makes the cache where it is missing; raises `DiskError` where it cannot be trusted, or has no room."""
    with disk_explained(cache):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = cache.stat()
        if found.st_uid != os.getuid() or found.st_mode & OTHERS_WRITE:
            raise DiskError(f"{cache}: others may write in it; remove it, or name another folder in {FOLDER_VARIABLE}")
        free = shutil.disk_usage(cache).free
    if free < LEAST_FREE:
        raise DiskError(f"{cache}: the disk has {free >> 20} MB left, where {LEAST_FREE >> 20} are asked for")


def _hand_out(kept: Path, own: Path) -> None:
    """Copies what is kept under a key; a file that is not what its name says is removed."""
    with disk_explained(own):
        for path in sorted(kept.glob("*.pb.*")):
            try:
                content = path.read_bytes()
            except OSError:  # it has just been removed
                continue
            if _name_of(content) == path.suffix[1:]:
                (own / path.stem).write_bytes(content)
            else:
                path.unlink(missing_ok=True)
    with suppress(OSError):
        os.utime(kept)


def _take_in(own: Path, kept: Path) -> None:
    """Copies what was compiled to the cache, and makes room in it where there is more than it may hold."""
    have = {path.stem for path in kept.glob("*.pb.*")}
    new = [path for path in sorted(own.glob("*.pb")) if path.name not in have]
    if not new:
        return
    with disk_explained(kept):
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in new:
            content = path.read_bytes()
            write_bytes(kept / f"{path.name}.{_name_of(content)}", content)
    _make_room(kept.parent)


def _make_room(folder: Path) -> None:
    """Removes keys, those first that were used longest ago; others may do the same at the same time."""
    with suppress(FileNotFoundError):
        keys = [path for path in folder.iterdir() if path.is_dir()]
        used = {key: sum(file.stat().st_size for file in key.iterdir()) for key in keys}
        for key in sorted(used, key=lambda key: key.stat().st_mtime):
            if sum(used.values()) <= MOST_BYTES:
                return
            del used[key]
            shutil.rmtree(key, ignore_errors=True)


def _key(configuration: str, *, threads: int) -> str:
    facts = (
        configuration,
        threads,
        platform.machine(),
        processor(),
        processor_features(),
        package_versions().get("tensorflow"),
        library_settings(),
    )
    return _name_of(repr(facts))


def _name_of(content: str | bytes) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
