"""In which order files run where workers share them: the longest first, so that none is left alone at the end."""

from __future__ import annotations

import pytest

# By processor time, longest first; a file that is not here takes less. The first two have nothing in common, so that
# the kernels of PyTorch are compiled by one worker and found in the cache by the other.
LONGEST = (
    "tests/impls/pytorch/test_kernels.py",
    "tests/impls/test_fast_tensorflow.py",
    "tests/bench/cli/test_commands.py",
    "tests/impls/test_learner.py",
    "tests/impls/tensorflow/test_keras_manners.py",
    "tests/impls/test_four_engines.py",
    "tests/faults/test_faults.py",
    "tests/impls/pytorch/test_tiles.py",
    "tests/impls/pytorch/test_tiles_compiled.py",
    "tests/bench/report/test_browser.py",
    "tests/bench/report/test_odd_records.py",
    "tests/bench/launch/test_endings.py",
    "tests/bench/cli/test_options.py",
    "tests/bench/launch/test_launch.py",
    "tests/bench/cli/test_trial.py",
    "tests/bench/launch/test_kept_programs.py",
    "tests/bench/report/test_writing.py",
    "tests/impls/tensorflow/test_saving.py",
    "tests/bench/launch/test_retries.py",
    "tests/bench/report/test_claims.py",
    "tests/bench/launch/test_servers.py",
    "tests/bench/launch/test_sharing.py",
    "tests/bench/launch/test_ray.py",
    "tests/test_examples.py",
    "tests/impls/tensorflow/test_dynamic_rnn.py",
    "tests/impls/test_native.py",
    "tests/bench/train/test_training.py",
    "tests/impls/test_lengths_tensorflow.py",
    "tests/bench/launch/test_killed_trials.py",
    "tests/bench/cli/test_reproduce.py",
    "bench/speed/test_training_step.py",
    "tests/bench/speed/test_running.py",
    "tests/bench/tasks/test_entry_points.py",
)


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts tests by the files that they stand in; within a file, and among files that are not named, order stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
