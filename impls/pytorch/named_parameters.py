"""Modules whose parameters bear the canonical names of `impls/parameters.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from impls.checks import CELL_DTYPES, check_seed, dtype_name, wrong_dtype
from impls.contract import Array, Parameters
from impls.errors import CellError, ParameterError
from impls.parameters import check_parameters, in_order


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A dtype that cells compute in, from its name or itself; raises `CellError` for any other."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or dtype_name(found) not in CELL_DTYPES:
        raise CellError(wrong_dtype(dtype))
    return found


def seed_or_drawn(seed: int | None) -> int:
    """The seed given, or one from PyTorch's own generator, which `torch.manual_seed` sets."""
    return int(torch.randint(2**31, (), device="cpu")) if seed is None else check_seed(seed)


class _Part(nn.Module):
    """Holds parameters and further parts. It is called for what hangs before its call, such as pruning."""

    def forward(self) -> None:
        """Does nothing itself."""


class NamedParameters(nn.Module):
    """Holds parameters under canonical names. `state_dict` uses the same names."""

    def __init__(self, values: Mapping[str, Array], *, dtype: str | torch.dtype = "float32") -> None:
        super().__init__()
        self._canonical_names = tuple(values)
        for name, value in values.items():
            *path, leaf = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, _Part())
                module = module.get_submodule(part)
            module.register_parameter(leaf, nn.Parameter(_copied(value, name=name).to(as_dtype(dtype))))

    def parameters_by_name(self) -> dict[str, Tensor]:
        """The parameters themselves, in canonical order.

        Of one that is pruned or parametrized, what stands in its place.
        """
        found: dict[str, Tensor] = {}
        prepared: set[str] = set()
        for name in self._canonical_names:
            path, _, leaf = name.rpartition(".")
            part = self.get_submodule(path)
            if part._forward_pre_hooks and path not in prepared:
                part()
                prepared.add(path)
            found[name] = getattr(part, leaf)
        return found

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
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ.

        So it does where a parameter is computed from others, or tied to one that is given other values. Arrays, tensors
        and nested lists do.
        """
        mine = self.parameters_by_name()
        given = values_for(mine, parameters, where=type(self).__name__)
        first: dict[int, str] = {}
        for name, value in mine.items():
            if not isinstance(value, nn.Parameter):
                raise ParameterError(
                    f"{type(self).__name__}: {name!r} is pruned or parametrized, computed from other parameters: "
                    "load before that, or by load_state_dict"
                )
            other = first.setdefault(id(value), name)
            if other != name and not torch.equal(given[other], given[name]):
                raise ParameterError(
                    f"{type(self).__name__}: {name!r} and {other!r} are one parameter: give both one value"
                )
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(given[name])


def values_for(mine: Mapping[str, Tensor], parameters: Mapping[str, Any], *, where: str) -> dict[str, Tensor]:
    """New values of all parameters, of their types; `ParameterError` where one is wrong, before any is replaced."""
    given = {name: _copied(value, name=name) for name, value in parameters.items()}
    check_parameters(given, {name: tuple(value.shape) for name, value in mine.items()}, where=where)
    return {name: given[name].to(value.dtype) for name, value in mine.items()}


def _copied(value: Any, *, name: str) -> Tensor:
    """A copy of an array, a tensor or nested lists; NumPy's bfloat16, which PyTorch does not read, in float32.

    A tensor that is given may be one that is replaced before it is read.
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    try:
        array = np.asarray(value)
        return torch.tensor(in_order(array.astype("float32") if array.dtype.name == "bfloat16" else array))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name!r} holds no numbers of one shape: {error}") from None
