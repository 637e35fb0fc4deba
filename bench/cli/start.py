"""How both programs start: refusals in one line, and what to do outside of the project's environment.

Nothing here needs a package, so that a Python without them can be told so.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

OLDEST_PYTHON = (3, 11)
OWN_PACKAGES = ("bench", "impls")
ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv"


def start(program: Callable[[], None]) -> None:
    """Runs a program, which imports its command line itself; a mistake of the user's is one line and exit code 2.

    So is Ctrl-C while it imports, with exit code 130; later the program answers it.
    """
    open_standard_streams()
    print_whatever_the_encoding()
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, OLDEST_PYTHON))
        refuse(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, {version} or newer is needed: {advice()}")
    if sys.platform != "linux":  # leases and slots read /proc
        refuse(f"this is {sys.platform}, and sweeps run on Linux: use a container, or WSL on Windows")
    for word in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in word):  # a byte that Python could not read
            refuse(f"{word}: holds bytes that are no UTF-8, which no record could tell; give it another name")
    try:
        from bench.errors import UserError

        try:
            program()
        except UserError as error:
            refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        refuse(f"this Python ({sys.executable}) has no module {error.name!r}: {advice()}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def open_standard_streams() -> None:
    """Has what the program was started without, standard input, output or error, lead nowhere.

    Else the next file that is opened stands in its place, here and in every process that is started.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gives the lowest number that is free
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def print_whatever_the_encoding() -> None:
    """Has standard output show `?` for a letter that its encoding lacks, as ASCII lacks the dash of a table."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def refuse(message: str) -> None:
    """Prints why, and ends with exit code 2."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def advice() -> str:
    """How to have the project's environment, or to use the one that is there."""
    activate = ENVIRONMENT / "bin" / "activate"
    if not activate.is_file():
        return "run `make install` first, then `. .venv/bin/activate`"
    near = os.path.relpath(activate)
    return f"activate the project's environment: `. {shlex.quote(near)}`"


def printable(text: str) -> str:
    """The text with control characters written out, as in `\\x1b`, so that a file's content cannot steer a terminal."""
    return "".join(
        letter if letter == "\n" or letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def command_line() -> str:
    """The command as typed, for a report."""
    name = Path(sys.argv[0])
    program = "python -m bench" if name.name == "__main__.py" else f"python {name.name}"
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])
