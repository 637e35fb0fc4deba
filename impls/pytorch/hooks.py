"""The refusal of hooks that PyTorch would never call."""

from __future__ import annotations

from typing import Any, NoReturn

from torch import nn

from impls.errors import CellError


class NestedOutputs(nn.Module):
    """A module that returns tuples of tuples, in which PyTorch looks for no tensor to hang a backward hook on."""

    def register_full_backward_hook(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `CellError`: the hook would never run."""
        raise CellError(_refusal(self, "register_full_backward_hook"))

    def register_full_backward_pre_hook(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `CellError`: the hook would never run."""
        raise CellError(_refusal(self, "register_full_backward_pre_hook"))


def _refusal(module: nn.Module, method: str) -> str:
    return (
        f"{type(module).__name__}.{method}: PyTorch would never call it, since outputs and state are named tuples; "
        "use outputs.h.register_hook on what a call returns"
    )
