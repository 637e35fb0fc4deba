"""The number of threads leaves every bit of a trained model: a trial's id does not hold it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from bench.machine.threads import FIXED_ORDER, ORDER_VARIABLE
from impls.contract import Array, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.parameters import checksum, initial_parameters

STEPS, BATCH, TIME, UNITS = 3, 256, 50, 110
THREADS = (1, 3)
# By name: cell, vocabulary, outputs, loss. `binary_cross_entropy` at every step is left out: PyTorch's sigmoid rounds
# the last few numbers of a thread's share otherwise, which is why a record tells its threads.
CASES = {
    "classes of tokens": ("skip_gru", 1000, 10, "cross_entropy"),
    "every step": ("lstm", 0, 157, "mean_squared_error"),
}


def trained(framework: str, engine: str, case: str, threads: int) -> str:
    """A checksum of the parameters after some training steps."""
    cell, vocabulary, outputs, loss = CASES[case]
    every = loss == "mean_squared_error"
    spec = ModelSpec(
        cell=CellSpec(cell=cell, input_size=64 if vocabulary else 2, units=(UNITS,)),
        output_size=outputs,
        loss=loss,
        readout="every" if every else "last",
        vocabulary_size=vocabulary,
        budget_cost=1e-3,
    )
    learner = build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(learning_rate=1e-2),
        parameters=initial_parameters(spec, seed=0),
        engine=engine,
        threads=threads,
    )
    assert learner.threads == threads
    draw = np.random.default_rng(0)
    for _ in range(STEPS):
        inputs: Array = draw.standard_normal((BATCH, TIME, 2)).astype(np.float32)
        if vocabulary:
            inputs = draw.integers(0, vocabulary, (BATCH, TIME)).astype(np.int32)
        targets: Array = draw.integers(0, outputs, BATCH).astype(np.int32)
        if every:
            targets = draw.standard_normal((BATCH, TIME, outputs)).astype(np.float32)
        learner.train_step(Batch(inputs=inputs, targets=targets))
    return checksum(learner.export_parameters())


def in_a_process(framework: str, engine: str, threads: int) -> list[str]:
    """`trained`, every case, in a process of its own, as a trial's: libraries read threads and order when loaded."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, framework, engine, str(threads)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), ORDER_VARIABLE: FIXED_ORDER},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-len(CASES) :]


@pytest.mark.parametrize("engine", ["fast", pytest.param("reference", marks=pytest.mark.slow)])
@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_any_number_of_threads_trains_the_same_bits(framework: str, engine: str) -> None:
    one, several = (in_a_process(framework, engine, threads) for threads in THREADS)
    assert one == several


SUMS = """
import sys, torch
from impls.pytorch.losses import task_loss
torch.set_num_threads(int(sys.argv[1]))
draw = torch.Generator().manual_seed(0)
for steps in (301, 784, 1000):
    outputs = torch.randn(256, steps, 3, generator=draw)
    mask = (torch.rand(256, steps, generator=draw) < 0.7).float()
    for given in (None, mask):
        for kind in ("binary_cross_entropy", "mean_squared_error"):
            print(task_loss(kind, outputs, torch.ones_like(outputs), mask=given).item().hex())
"""


@pytest.mark.slow
def test_losses_over_many_steps_are_summed_in_one_order() -> None:
    """PyTorch cuts a sum over more than 32,768 numbers by its threads."""
    told = {
        subprocess.run([sys.executable, "-c", SUMS, str(threads)], capture_output=True, text=True, check=True).stdout
        for threads in THREADS
    }
    assert len(told) == 1


PRODUCTS = """
import hashlib, sys, torch
torch.set_num_threads(int(sys.argv[1]))
draw = torch.Generator().manual_seed(0)
for batch in (64, 128, 256):
    for units in (32, 48, 110):
        for width in (1, 2, 8, 64):
            x = torch.randn(batch, width + units, generator=draw)
            w = torch.randn(width + units, 4 * units, generator=draw)
            change = torch.randn(batch, 4 * units, generator=draw)
            for product in (x @ w, change @ w.T, x.T @ change):
                print(hashlib.sha256(product.contiguous().numpy().tobytes()).hexdigest())
"""


def test_products_have_the_order_that_a_trials_process_asks_for() -> None:
    """Of 32 units, the gradient of what a layer reads has other bits on two threads where nothing is asked for."""
    environment = {**os.environ, ORDER_VARIABLE: FIXED_ORDER}
    told = {
        subprocess.run(
            [sys.executable, "-c", PRODUCTS, str(threads)], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for threads in THREADS
    }
    assert len(told) == 1


if __name__ == "__main__":
    print(*[trained(sys.argv[1], sys.argv[2], case, int(sys.argv[3])) for case in CASES])
