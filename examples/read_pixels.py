"""Which pixels a trained Skip GRU reads: the committed parameters of a trial in either framework, drawn.

    python examples/read_pixels.py --framework tensorflow --to pixels.png

Its trial was trained in PyTorch; a layer of either framework that has its parameters opens its gates at the same
steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from bench.records.trained import read_trained

# Sequential digits, λ = 3e-3; any trial of images whose parameters were kept will do.
TRIAL = Path("results/reference/trials/5da8a6ba37c7f598")
SHOWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trial", type=Path, default=TRIAL, help="the trial's folder")
    parser.add_argument("--framework", choices=("pytorch", "tensorflow"), default="pytorch", help="of the layer")
    parser.add_argument("--to", type=Path, default=Path("pixels.png"), help="where the picture is written")
    arguments = parser.parse_args()

    trained = read_trained(arguments.trial)
    layer = trained.layer(arguments.framework)
    task = trained.record.trial.build_task()
    batches = list(task.evaluation_batches("test", size=100, sequences=400))
    images, classes = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("inputs", "targets"))

    if arguments.framework == "pytorch":
        import torch

        outputs, _ = layer(torch.from_numpy(images))
        h, gates = outputs.h.detach().numpy(), outputs.state_gate.detach().numpy()[:, :, 0]
    else:
        outputs, _ = layer(images)
        h, gates = outputs.h.numpy(), outputs.state_gate.numpy()[:, :, 0]
    logits = h[:, -1] @ trained.parameters["readout.weights"] + trained.parameters["readout.biases"]
    print(
        f"{(logits.argmax(axis=1) == classes).mean():.2%} of {len(images)} right, {gates.mean():.1%} of the pixels read"
    )
    print(f"recorded: {trained.record.quality:.2%} and {trained.record.update_ratio:.1%}")

    side = round(images.shape[1] ** 0.5)
    figure, axes = plt.subplots(2, SHOWN, figsize=(SHOWN, 2.4), layout="constrained")
    for (above, below), image, gate in zip(axes.T, images, gates, strict=False):
        above.imshow(image.reshape(side, side), cmap="gray_r")
        below.imshow(np.where(gate, image[:, 0], np.nan).reshape(side, side), cmap="gray_r")
        below.set_facecolor("lightsteelblue")  # where nothing was read
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("image")
    axes[1, 0].set_ylabel("read")
    figure.savefig(arguments.to, dpi=200)
    print(f"picture: {arguments.to}")


if __name__ == "__main__":
    main()
