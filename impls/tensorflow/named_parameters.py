"""Modules whose parameters bear the canonical names of `impls/parameters.py`."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from impls.contract import Array, Parameters
from impls.errors import CellError
from impls.parameters import check_parameters


def as_dtype(dtype: str | tf.DType) -> tf.DType:
    """A floating dtype from its name or itself; raises `CellError` for any other."""
    try:
        found = tf.as_dtype(dtype)
    except TypeError:
        found = None
    if found is None or not found.is_floating:
        raise CellError(f"dtype={dtype!r} is not a floating-point type such as 'float32' or 'float64'")
    return found


class NamedParameters(tf.Module):
    """Holds parameters under canonical names; checkpoints keep them under `values`."""

    def __init__(self, values: Mapping[str, Array], *, dtype: str | tf.DType = "float32") -> None:
        super().__init__()
        self.values: dict[str, tf.Variable] = {}
        self.add_parameters(values, dtype=dtype)

    def add_parameters(self, values: Mapping[str, Array], *, dtype: str | tf.DType) -> None:
        """Adds parameters; in a graph, outside any loop that is being built."""
        kind = as_dtype(dtype)
        with tf.init_scope():
            for name, value in values.items():
                self.values[name] = tf.Variable(tf.cast(value, kind), name=name.replace(".", "/"))

    def parameters_by_name(self) -> dict[str, tf.Variable]:
        """The parameters themselves, in canonical order."""
        return dict(self.values)

    def export_parameters(self) -> Parameters:
        """A NumPy copy of every parameter under its canonical name."""
        return {name: value.numpy() for name, value in self.parameters_by_name().items()}

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ."""
        mine = self.parameters_by_name()
        check_parameters(
            parameters,
            {name: tuple(value.shape) for name, value in mine.items()},
            where=type(self).__name__,
        )
        for name, value in mine.items():
            value.assign(tf.cast(parameters[name], value.dtype))
