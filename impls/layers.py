"""The public layers by their specs: a layer of either framework that has given parameters."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from impls.contract import DEFAULT_ENGINE, Array, CellSpec
from impls.errors import CellError
from impls.parameters import cell_shapes, check_parameters

# The public classes, under the same names in both frameworks.
LAYERS = {"lstm": "LSTM", "gru": "GRU", "skip_lstm": "SkipLSTM", "skip_gru": "SkipGRU"}


def build_layer(
    framework: str, *, spec: CellSpec, parameters: Mapping[str, Array], engine: str = DEFAULT_ENGINE
) -> Any:
    """Imports one framework and builds its layer of a cell.

    Args:
        framework: one of `FRAMEWORKS`.
        spec: the cell; one layer becomes a single cell's layer, several a stack.
        parameters: values under the canonical names of `impls.parameters.cell_shapes`; others, such as a readout's,
            are passed over.
        engine: one of `ENGINES`.

    Raises `ParameterError` where a parameter is missing or has another shape, and `CellError` for a precision that is
    not float32, which layers do not have.
    """
    if spec.precision != "float32":
        raise CellError(f"precision={spec.precision!r}: a layer multiplies in float32, and its gates might differ")
    shapes = cell_shapes(spec)
    own = {name: value for name, value in parameters.items() if name in shapes}
    check_parameters(own, shapes, where=LAYERS[spec.cell])
    of_framework = getattr(importlib.import_module(f"impls.{framework}"), LAYERS[spec.cell])
    taken = inspect.signature(of_framework).parameters
    options = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name in taken}
    units = options.pop("units")
    layer = of_framework(units if len(units) > 1 else units[0], **options, engine=engine)
    layer.load_parameters(own)
    return layer
