"""An ImageNet ResNet-50 up to its pooled features, from timm (optional extra `video`).

The one file of the harness that imports a framework: features are extracted once, and serve all frameworks alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bench.errors import UserError
from impls.contract import Array

# The weights of the original training recipe, nearest to those of the paper's time.
MODEL = "resnet50.tv_in1k"
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


class FrameEncoder:
    """Frames to features of width 2,048; no gradient, batch statistics frozen.

    Raises `UserError` where timm cannot be imported, or the weights cannot be had or do not fit.
    """

    def __init__(self, *, weights: Path | None, device: str) -> None:
        try:
            import timm
        except (ImportError, RuntimeError) as error:
            # torchvision, which timm imports, fails so where it was built for another PyTorch.
            raise UserError(
                f"timm cannot be imported ({_first_line(error)}); install the torchvision that was built for torch "
                f"{torch.__version__}"
            ) from error
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("PyTorch sees no CUDA device here; give --device cpu")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            # The classifier is built too, so that a file of the whole network fits; then it is taken off.
            network = timm.create_model(MODEL, pretrained=weights is None)
            if weights is not None:
                network.load_state_dict(_read(weights))
        except Exception as error:
            where = "the model hub is out of reach" if weights is None else f"{weights}: no weights of a ResNet-50"
            raise UserError(
                f"{where} ({_first_line(error)}); give a file of torchvision's or timm's ResNet-50 with --weights"
            ) from error
        network.reset_classifier(0)
        self._network = network.eval().to(device)
        self._device = device
        self._mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self._standard_deviation = torch.tensor(STANDARD_DEVIATION, device=device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def encode(self, frames: Array) -> Array:
        """`[frames, 224, 224, 3]` uint8 RGB to `[frames, 2048]` float32."""
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device).permute(0, 3, 1, 2).float() / 255
        features: Array = self._network((pixels - self._mean) / self._standard_deviation).float().cpu().numpy()
        return features


def _read(weights: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name; it could run no code."""
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file  # comes with timm

        return dict(load_file(weights))
    content = torch.load(weights, map_location="cpu", weights_only=True)
    return dict(content.get("state_dict", content))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
