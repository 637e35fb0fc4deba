"""The sweep that tells frameworks from rounding: every computation of a seed four ways."""

from __future__ import annotations

from collections import defaultdict

from bench.plan import sweep as sweeps
from bench.plan.trial import Trial
from impls.contract import ENGINES, FRAMEWORKS
from impls.kinds import cells


def computation(trial: Trial) -> str:
    return trial.model_copy(update={"framework": "any", "engine": "any"}).id


def test_every_seed_of_every_configuration_runs_in_both_frameworks_on_both_engines():
    ways = defaultdict(set)
    trials = sweeps.load("frameworks").trials
    for trial in trials:
        ways[computation(trial)].add((trial.framework, trial.engine))
    assert set(map(frozenset, ways.values())) == {
        frozenset((framework, engine) for framework in FRAMEWORKS for engine in ENGINES)
    }
    assert {trial.cell for trial in trials} == set(cells())
    assert len({trial.seed for trial in trials}) >= 5


def test_each_trial_is_evaluated_often_enough_to_see_where_pairs_part():
    for trial in sweeps.load("frameworks").trials:
        of = trial.protocol
        assert (of.steps or of.epochs or 0) / of.evaluate_every >= 10
