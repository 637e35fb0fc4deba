"""The program `python -m bench`: its commands, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable

import typer

from bench.cli.archive import archive
from bench.cli.card import card
from bench.cli.claims import claims
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.export import export
from bench.cli.extract import extract
from bench.cli.list import list_everything
from bench.cli.merge import adopt, merge
from bench.cli.report import report
from bench.cli.reproduce import reproduce
from bench.cli.run import run
from bench.cli.speed import speed
from bench.cli.tensorboard import tensorboard
from bench.cli.trial import trial
from bench.cli.verify import verify
from bench.cli.watch import watch

COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_everything,
    "run": run,
    "trial": trial,
    "watch": watch,
    "report": report,
    "compare": compare,
    "claims": claims,
    "tensorboard": tensorboard,
    "export": export,
    "speed": speed,
    "doctor": doctor,
    "extract": extract,
    "verify": verify,
    "reproduce": reproduce,
    "merge": merge,
    "adopt": adopt,
    "archive": archive,
    "card": card,
}


def application() -> typer.Typer:
    """All commands under one name."""
    app = typer.Typer(
        help="Benchmark and ablation harness for Skip RNN.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in COMMANDS.items():
        app.command(name)(command)
    return app


def run_all() -> None:
    """`python run_all.py`: the command `run` alone."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("run_all")(run)
    app()
