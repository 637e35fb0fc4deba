"""The tape's memory: handed on, never while anything still looks at it, and as much as there are updates."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from impls.pytorch import SkipLSTM  # noqa: E402
from impls.pytorch.engines.kernels import function, tape_memory  # noqa: E402
from impls.pytorch.engines.kernels.tape_memory import release_tape_memory, reused_array  # noqa: E402

ROOT = Path(__file__).parents[3]
LARGE = (1000, 100)  # 400 kB of float32; small arrays are NumPy's own


@pytest.fixture(autouse=True)
def blocks(monkeypatch) -> tape_memory._Blocks:
    """A process without blocks."""
    mine = tape_memory._Blocks()
    monkeypatch.setattr(tape_memory, "_blocks", mine)
    return mine


def address(array) -> int:
    return array.__array_interface__["data"][0]


def test_the_next_array_has_the_memory_of_the_last() -> None:
    first = reused_array(LARGE, np.float32)
    where = address(first)
    del first
    assert address(reused_array((100, 200), np.float64)) == where


@pytest.mark.parametrize(
    "look", [lambda array: array[3:, 2:], torch.from_numpy, lambda array: torch.from_numpy(array[1:])]
)
def test_memory_that_is_looked_at_is_not_handed_on(look) -> None:
    first = reused_array(LARGE, np.float32)
    first[...] = 1
    kept = look(first)
    del first
    reused_array(LARGE, np.float32)[...] = 2
    assert (kept == 1).all()


def test_what_does_not_fit_is_new() -> None:
    small = reused_array(LARGE, np.float32)
    del small
    large = reused_array((1000, 1000), np.float32)
    large[...] = 3
    assert large.sum() == 3e6


def test_an_empty_array() -> None:
    assert reused_array((0, 5), np.float32).shape == (0, 5)


def test_layers_of_any_sizes_wait_side_by_side(blocks) -> None:
    """Two layers that train in turn keep a block each, and one that was large once does not stay for ever."""
    sizes = [(1000, 100), (3000, 100)]
    seen = []
    for _ in range(3):
        arrays = [reused_array(size, np.float32) for size in sizes]
        seen.append([address(array) for array in arrays])
        del arrays
    assert seen[1] == seen[2]
    assert blocks.bytes_of_blocks == 1_600_000
    release_tape_memory()
    assert blocks.waiting == []
    assert blocks.bytes_of_blocks == 0


def test_no_more_waits_than_was_once_needed(blocks) -> None:
    rng = np.random.default_rng(0)
    live: list[np.ndarray] = []
    most = 0
    for _ in range(300):
        if live and rng.uniform() < 0.5:
            live.pop(rng.integers(len(live)))
        else:
            live.append(reused_array((int(rng.integers(20_000, 200_000)),), np.float32))
        most = max(most, sum(array.nbytes for array in live))
        assert blocks.needed == sum(array.nbytes for array in live)
        assert blocks.bytes_of_blocks <= max(most, blocks.bytes_of_blocks - sum(map(len, blocks.waiting)))
    live.clear()
    assert blocks.bytes_of_blocks == sum(map(len, blocks.waiting)) <= most


@pytest.fixture
def tapes(monkeypatch) -> list[weakref.ref]:
    """References to the records of every tape that is made."""
    made: list[weakref.ref] = []

    def noted(shape, dtype):
        array = reused_array(shape, dtype)
        made.append(weakref.ref(array))
        return array

    monkeypatch.setattr(function, "reused_array", noted)
    return made


def alive(tapes: list[weakref.ref]) -> int:
    return sum(reference() is not None for reference in tapes)


def layer_and_inputs() -> tuple[SkipLSTM, torch.Tensor]:
    torch.manual_seed(0)
    return SkipLSTM(5, input_size=2, engine="fast", update_bias=-1.0, dtype="float64"), torch.randn(
        3, 40, 2, dtype=torch.float64
    )


def test_a_tape_goes_with_its_gradient(tapes) -> None:
    layer, inputs = layer_and_inputs()
    outputs, _ = layer(inputs)
    loss = outputs.h.sum()
    assert alive(tapes) == 2
    loss.backward()
    assert alive(tapes) == 0  # though the graph is still there


def test_a_tape_goes_with_its_graph(tapes) -> None:
    layer, inputs = layer_and_inputs()
    outputs, state = layer(inputs)
    del outputs, state
    gc.collect()
    assert alive(tapes) == 0


def test_a_kept_graph_keeps_its_tape(tapes) -> None:
    layer, inputs = layer_and_inputs()
    loss = layer(inputs)[0].h.sum()
    found = [torch.autograd.grad(loss, [*layer.parameters()], retain_graph=True) for _ in range(2)]
    assert alive(tapes) == 2
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_two_forwards_before_a_backward(tapes) -> None:
    layer, inputs = layer_and_inputs()
    others = inputs.flip(1)
    expected = [torch.autograd.grad(layer(x)[0].h.sum(), [*layer.parameters()]) for x in (inputs, others)]
    losses = [layer(x)[0].h.sum() for x in (inputs, others)]
    for loss, wanted in reversed([*zip(losses, expected, strict=True)]):
        for one, other in zip(torch.autograd.grad(loss, [*layer.parameters()]), wanted, strict=True):
            assert torch.equal(one, other)
    assert alive(tapes) == 0


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints(tapes, reentrant: bool) -> None:
    layer, inputs = layer_and_inputs()
    inputs.requires_grad_()
    expected = torch.autograd.grad(layer(inputs)[0].h.square().sum(), [*layer.parameters(), inputs])
    h = torch.utils.checkpoint.checkpoint(lambda x: layer(x)[0].h, inputs, use_reentrant=reentrant)
    assert alive(tapes) == 0
    h.square().sum().backward()
    assert alive(tapes) == 0
    for one, other in zip(expected, [*layer.parameters(), inputs], strict=True):
        assert torch.equal(one, other.grad)


@pytest.mark.slow
def test_memory_follows_the_updates() -> None:
    """The peak of a process that trains at 10 % updates is at most 0.4 of that at 100 %."""
    program = """
import resource, sys
import torch
from impls.pytorch import SkipLSTM
from impls.pytorch.engines import unroll
from impls.pytorch.equations import initial_state

def train(every, batch, steps):
    layer = SkipLSTM(110, input_size=1, seed=0)
    with torch.no_grad():
        layer.get_parameter("update_gate.weights").zero_()
        layer.get_parameter("update_gate.biases").fill_(torch.logit(torch.tensor(0.5 / every)) + 1e-3)
    inputs, parameters = torch.randn(batch, steps, 1), layer.parameters_by_name()
    start = initial_state(layer.spec, parameters, batch=batch, like=inputs)
    for _ in range(3):
        unrolled = unroll(layer.spec, parameters, inputs, start, every_step=False, engine="fast")
        unrolled.h.sum().backward()
    return unrolled.gates.mean().item()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

train(1, 8, 8)
before = peak()
ratio = train(int(sys.argv[1]), 192, 400)
print(ratio, peak() - before)
"""
    found = {}
    for every in (1, 10):
        command = [sys.executable, "-c", program, str(every)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=240)
        found[every] = [float(word) for word in done.stdout.split()]
    assert found[1][0] == 1.0
    assert 0.09 < found[10][0] < 0.12
    assert found[10][1] <= 0.4 * found[1][1], found
