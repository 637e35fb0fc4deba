"""Modules whose parameters bear the canonical names of `impls/parameters.py`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from impls.checks import check_seed
from impls.contract import Array, Parameters
from impls.errors import CellError
from impls.parameters import check_parameters


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A floating dtype from its name or itself; raises `CellError` for any other."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise CellError(f"dtype={dtype!r} is not a floating-point type such as 'float32' or 'float64'")
    return found


def seed_or_drawn(seed: int | None) -> int:
    """The seed given, or one from PyTorch's own generator, which `torch.manual_seed` sets."""
    return int(torch.randint(2**31, (), device="cpu")) if seed is None else check_seed(seed)


class NamedParameters(nn.Module):
    """Holds parameters under canonical names. `state_dict` uses the same names."""

    def __init__(self, values: Mapping[str, Array], *, dtype: str | torch.dtype = "float32") -> None:
        super().__init__()
        for name, value in values.items():
            *path, leaf = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(leaf, nn.Parameter(torch.tensor(value, dtype=as_dtype(dtype))))

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """The parameters themselves, in canonical order."""
        return dict(self.named_parameters())

    def export_parameters(self) -> Parameters:
        """A NumPy copy of every parameter under its canonical name.

        Of bfloat16, which NumPy lacks, in float32.
        """
        mine = {name: value.detach().cpu() for name, value in self.parameters_by_name().items()}
        return {
            name: (value.float() if value.dtype == torch.bfloat16 else value).numpy().copy()
            for name, value in mine.items()
        }

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ."""
        mine = self.parameters_by_name()
        check_parameters(
            parameters,
            {name: tuple(value.shape) for name, value in mine.items()},
            where=type(self).__name__,
        )
        with torch.no_grad():
            for name, value in mine.items():
                given = parameters[name]
                value.copy_(torch.as_tensor(given.astype("float32") if given.dtype.name == "bfloat16" else given))
