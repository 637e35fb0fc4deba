"""A Skip LSTM in a training loop of your own, in PyTorch: different lengths, saving, loading, used steps.

    python examples/own_training_pytorch.py

The task: is the sum of the first three values of a sequence above zero? What follows them can be skipped.
`own_training_tensorflow.py` is the same in TensorFlow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from impls.pytorch import SkipLSTM

LONGEST, FEATURES, UNITS = 20, 1, 32
BUDGET_COST = 1e-3  # λ: what an update costs, in units of the loss


class Classifier(nn.Module):
    """A Skip LSTM; h where a sequence ends decides."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = SkipLSTM(units=UNITS, input_size=FEATURES, seed=0)
        self.readout = nn.Linear(UNITS, 1)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, `[batch]`, and the gates, `[batch, time]`: 1 where the state was updated, 0 on padding."""
        outputs, state = self.recurrent(inputs, lengths=lengths)
        return self.readout(state.h)[:, 0], outputs.state_gate[:, :, 0]


def make_batch(generator: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs `[size, time, 1]`, lengths `[size]` from 5 to 20, targets `[size]` in {0, 1}."""
    lengths = generator.integers(5, LONGEST + 1, size)
    values = generator.uniform(-1, 1, (size, LONGEST)) * (np.arange(LONGEST) < lengths[:, None])
    targets = values[:, :3].sum(axis=1) > 0
    return (
        torch.tensor(values[:, :, None], dtype=torch.float32),
        torch.tensor(lengths),
        torch.tensor(targets, dtype=torch.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="training steps")
    parser.add_argument("--to", type=Path, default=Path("own_training.pt"), help="where the parameters are saved")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(1, arguments.steps + 1):
        inputs, lengths, targets = make_batch(generator, 64)
        logits, gates = model(inputs, lengths)
        loss = functional.binary_cross_entropy_with_logits(logits, targets)
        budget_loss = BUDGET_COST * gates.sum(dim=1).mean()
        optimizer.zero_grad()
        (loss + budget_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == arguments.steps:
            print(f"step {step}: loss {loss.item():.3f}, {gates.sum().item() / lengths.sum().item():.0%} updates")

    torch.save(model.state_dict(), arguments.to)
    again = Classifier()
    again.load_state_dict(torch.load(arguments.to))

    inputs, lengths, targets = make_batch(generator, 1000)
    with torch.no_grad():
        logits, gates = again(inputs, lengths)
    accuracy = ((logits > 0) == (targets > 0)).float().mean().item()
    print(f"loaded from {arguments.to}: {accuracy:.1%} right, {gates.sum().item() / lengths.sum().item():.0%} updates")
    for row in range(5):
        used = gates[row, : int(lengths[row])].tolist()
        print("steps used of a sequence: " + "".join("█" if gate else "·" for gate in used))


if __name__ == "__main__":
    main()
