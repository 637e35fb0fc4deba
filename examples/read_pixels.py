"""Which pixels a trained Skip GRU reads: the committed parameters of a trial in either framework, drawn.

    python examples/read_pixels.py --framework tensorflow --to pixels.png

Its trial was trained in PyTorch; a layer of either framework that has its parameters opens its gates at the same
steps. In the picture a pixel that is not read is blue. `--trial` takes any trial of a skip cell on images whose data
are here and whose parameters were kept; results/reference/MODEL.md lists them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from bench.errors import UserError
from bench.records.trained import read_trained

# Sequential digits, λ = 3e-3.
TRIAL = Path("results/reference/trials/5da8a6ba37c7f598")
SHOWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trial", type=Path, default=TRIAL, help="the trial's folder")
    parser.add_argument("--framework", choices=("pytorch", "tensorflow"), default="pytorch", help="of the layer")
    parser.add_argument("--to", type=Path, default=Path("pixels.png"), help="where the picture is written")
    arguments = parser.parse_args()

    trained = read_trained(arguments.trial)
    trial, task = trained.record.trial, trained.record.trial.build_task()
    if trial.task not in ("digits", "mnist") or not trial.cell.startswith("skip_"):
        raise SystemExit(f"{arguments.trial}: is of {trial.cell} on {trial.task}; give one of a skip cell on images")
    try:
        task.prepare()
    except UserError as error:
        raise SystemExit(str(error)) from None
    layer = trained.layer(arguments.framework)
    batches = list(task.evaluation_batches("test", size=100, sequences=0))  # all of a data set
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
    print(f"picture: {arguments.to}; blue pixels were not read")


if __name__ == "__main__":
    main()
