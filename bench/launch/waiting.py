"""The trials that wait to be run, and how one is taken: under a lease, unless another run has it or has ended it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.errors import LeaseError
from bench.plan.trial import Trial
from bench.records.attempted import OF_THE_MACHINE
from bench.records.record import FINISHED, Record
from bench.records.running.attempt import Attempt
from bench.records.running.leases import Watch, take_lease
from bench.records.store import Store


class Waiting:
    """The trials of a run that were not started, in order; those that another run was seen to hold go behind.

    Args:
        trials: all of them.
        store: where their records go.
        before: the records as they stood when it was decided what to run, by trial id; a trial that has another one
            since was run by somebody else.
        command, workers: for the records.
        retries: how often this run tries a trial again.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        *,
        store: Store,
        before: Mapping[str, Record],
        command: str,
        workers: int,
        retries: int = 0,
    ) -> None:
        self._trials = deque(trials)
        self._store = store
        self._before = dict(before)
        self._command = command
        self._workers = workers
        self._retries = retries
        self._tries: Counter[str] = Counter()
        self._watch = Watch()

    @property
    def retries(self) -> int:
        """How often this run tries a trial again."""
        return self._retries

    def __bool__(self) -> bool:
        return bool(self._trials)

    def put_back(self, trial: Trial, *, after: Record | None = None) -> None:
        """Has a trial wait again, behind the others; `after` is the record of its failure, where it is tried again."""
        if after is not None:
            self._before[trial.id] = after
        self._trials.append(trial)

    def try_again(self, record: Record) -> int:
        """Which try again it is that a trial is given which ended so, and is counted; 0 where it is given none."""
        ended = record.attempts[-1].how if record.attempts else record.status
        if ended not in OF_THE_MACHINE or self._tries[record.trial_id] >= self._retries:
            return 0
        self._tries[record.trial_id] += 1
        return self._tries[record.trial_id]

    def take(
        self, *, shared: Callable[[Trial, Record], None], between: Callable[[], None]
    ) -> tuple[Trial, Attempt] | None:
        """The first trial that can be run now, with its attempt begun; None where every one is held by another run.

        Args:
            shared: is told of a trial that another run has ended in the meantime, with its record, or that the command
                of a run which is gone has finished since.
            between: is called after each trial that was looked at in vain; there may be thousands.

        Raises `DiskError` where the disk takes no lease or no folder.
        """
        for number in range(len(self._trials)):
            if number:
                between()
            trial = self._trials.popleft()
            lease = take_lease(self._store.results, trial.id, watch=self._watch)
            if lease is None:
                self._trials.append(trial)
                continue
            attempt = Attempt(self._store.results, lease=lease, command=self._command, workers=self._workers)
            try:
                with given_back_if_raised(attempt):
                    attempt.start()
                    if self._is_to_run(trial.id):
                        return trial, attempt
                    attempt.end()
            except LeaseError:  # this run was so late that another has taken it over
                self._trials.append(trial)
                continue
            record = self._store.survey([trial.id]).records.get(trial.id)
            if record is not None:
                shared(trial, record)
        return None

    def _is_to_run(self, trial_id: str) -> bool:
        """Whether a trial whose lease was just taken has to be run; a damaged record is set aside."""
        found = self._store.survey([trial_id])
        if trial_id in found.damaged:
            self._store.set_aside(trial_id, reason=found.damaged[trial_id])
        if trial_id in found.left_alone:
            return False
        record = found.records.get(trial_id)
        if record is None or record.status in FINISHED:
            return record is None
        if record == self._before.get(trial_id):
            return True
        # Another run's: it failed a moment ago. What is the machine's that run may be about to try again itself.
        if not self.try_again(record):
            return False
        self._before[trial_id] = record
        return True


@contextmanager
def given_back_if_raised(attempt: Attempt) -> Iterator[None]:
    """Gives a trial's lease back where it is not started after all."""
    try:
        yield
    except BaseException:
        attempt.end()
        raise
