"""What is shown while a sweep runs: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import socket
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from bench.launch.display.words import duration, number, stopping_words, summary
from bench.launch.duration.countdown import Countdown
from bench.launch.executor import Where
from bench.plan.trial import Trial
from bench.records.record import Record
from bench.train.progress import Progress

# As often as trials tell their progress: each refresh takes two thousandths of a second from what is measured.
REFRESHES_PER_SECOND = 2
# Of a trial that a queue has not started.
NOT_PLACED = Where(node="", device="")
STATUS_STYLES = {"ok": "green", "diverged": "yellow", "failed": "red", "timeout": "red"}


class PlainDisplay:
    """One line for each trial that starts or ends."""

    def __init__(self, console: Console, *, trials: int, countdown: Countdown) -> None:
        self._console = console
        self._trials = trials
        self._countdown = countdown
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def started(self, trial: Trial) -> None:
        """Says which."""
        self._countdown.started(trial)
        self._line(f"start  {trial.id}  {trial.label}")

    def placed(self, trial: Trial, where: Where) -> None:
        """Says where, unless it is here."""
        if where.node != socket.gethostname():
            self._line(f"on     {trial.id}  {where.node} {where.device}")

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Says nothing; notes the time left."""
        self._countdown.progressed(trial, progress)

    def finished(self, trial: Trial, record: Record) -> None:
        """Says how it ended and how much is left."""
        self._done += 1
        self._countdown.ended(trial, record)
        left = duration(self._countdown.seconds_left())
        self._line(f"{record.status:<6} {trial.id}  {trial.label}: {summary(record)}")
        self._line(f"       {self._done} of {self._trials} done, about {left} left")

    def put_back(self, trial: Trial, why: str) -> None:
        """Says so, and why."""
        self._countdown.put_back(trial)
        self._line(f"waits  {trial.id}  {trial.label}: {why}")

    def shared(self, trial: Trial, record: Record) -> None:
        """Says how it ended, and that it was another run's."""
        self._done += 1
        self._countdown.dropped(trial)
        self._line(f"{record.status:<6} {trial.id}  {trial.label}: in another run; {summary(record)}")

    def stopping(self, trials: int) -> None:
        """Says so, and what may be done."""
        self._line(stopping_words(trials))

    def disk_is_slow(self, said: str) -> None:
        """Says so."""
        self._line(said)


class LiveDisplay:
    """A table of the running trials under a bar of the whole sweep; ended trials scroll above."""

    def __init__(self, console: Console, *, trials: int, countdown: Countdown) -> None:
        self._trials = trials
        self._countdown = countdown
        self._counts: Counter[str] = Counter()
        self._running: dict[str, tuple[Trial, Progress | None]] = {}
        self._where: dict[str, Where] = {}
        self._bar = Bar(TextColumn("trials"), BarColumn(bar_width=30), MofNCompleteColumn(), console=console)
        self._task = self._bar.add_task("trials", total=trials)
        self._live = Live(console=console, refresh_per_second=REFRESHES_PER_SECOND, get_renderable=self._render)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def started(self, trial: Trial) -> None:
        """Adds a row."""
        self._countdown.started(trial)
        self._running[trial.id] = (trial, None)

    def placed(self, trial: Trial, where: Where) -> None:
        """Fills in where."""
        self._where[trial.id] = where

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Refreshes a row."""
        self._running[trial.id] = (trial, progress)
        self._countdown.progressed(trial, progress)

    def finished(self, trial: Trial, record: Record) -> None:
        """Moves a row above the table."""
        del self._running[trial.id]
        self._counts[record.status] += 1
        self._bar.advance(self._task)
        self._countdown.ended(trial, record)
        line = Text(f"{record.status:<8} ", style=STATUS_STYLES[record.status])
        line.append(f"{trial.label}  ", style="bold").append(summary(record), style="default not bold")
        self._live.console.print(line, highlight=False)

    def put_back(self, trial: Trial, why: str) -> None:
        """Takes the row out, and prints why above the table."""
        self._running.pop(trial.id, None)
        self._where.pop(trial.id, None)
        self._countdown.put_back(trial)
        self._live.console.print(f"waits    {trial.label}: {why}", markup=False, highlight=False)

    def shared(self, trial: Trial, record: Record) -> None:
        """Advances the bar, and prints the trial above the table."""
        self._running.pop(trial.id, None)
        self._countdown.dropped(trial)
        self._counts[record.status] += 1
        self._bar.advance(self._task)
        line = Text(f"{record.status:<8} ", style=STATUS_STYLES[record.status])
        line.append(f"{trial.label}  ", style="bold").append("in another run", style="default not bold")
        self._live.console.print(line, highlight=False)

    def stopping(self, trials: int) -> None:
        """Prints so above the table, and what may be done."""
        self._live.console.print(stopping_words(trials), markup=False, highlight=False)

    def disk_is_slow(self, said: str) -> None:
        """Prints so above the table."""
        self._live.console.print(said, markup=False, highlight=False)

    def _render(self) -> Group:
        done, failed = sum(self._counts.values()), sum(self._counts.values()) - self._counts["ok"]
        status = f"{done} done, {len(self._running)} running, {failed} failed, "
        status += f"about {duration(self._countdown.seconds_left())} left"
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("trial", "node", "device", "step", "loss", "quality", "updates"):
            table.add_column(column, justify="left" if column in ("trial", "node", "device") else "right")
        for trial, progress in self._running.values():
            where = self._where.get(trial.id, NOT_PLACED)
            if progress is None:
                table.add_row(trial.label, where.node, where.device, "starting" if where.node else "queued", "", "", "")
                continue
            table.add_row(
                trial.label,
                where.node,
                where.device,
                f"{progress.step} / {progress.steps}",
                number(progress.loss),
                number(progress.quality),
                number(progress.update_ratio, ".1%"),
            )
        return Group(table, self._bar, Text(status, style="dim"))


def make_display(console: Console, *, trials: int, countdown: Countdown) -> PlainDisplay | LiveDisplay:
    """The live display in a terminal, else plain lines."""
    kind = LiveDisplay if console.is_terminal else PlainDisplay
    return kind(console, trials=trials, countdown=countdown)
