"""Modules whose parameters bear the canonical names of `impls/parameters.py`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from impls.checks import CELL_DTYPES, check_seed, wrong_dtype
from impls.contract import Array, Parameters
from impls.errors import CellError, ParameterError
from impls.parameters import check_parameters


def as_dtype(dtype: str | tf.DType) -> tf.DType:
    """A dtype that cells compute in, from its name or itself; raises `CellError` for any other."""
    try:
        found = tf.as_dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in CELL_DTYPES:
        raise CellError(wrong_dtype(dtype))
    return found


def seed_or_drawn(seed: int | None) -> int:
    """The seed given, or one from Python's generator as in Keras, which `keras.utils.set_random_seed` sets."""
    return random.randrange(2**31) if seed is None else check_seed(seed)


class NamedParameters(tf.Module):  # type: ignore[misc]
    """Holds parameters under canonical names. Checkpoints keep them under `values`."""

    def __init__(self, values: Mapping[str, Array], *, dtype: str | tf.DType = "float32") -> None:
        super().__init__()
        self.values: dict[str, tf.Variable] = {}
        self.add_parameters(values, dtype=dtype)

    def add_parameters(self, values: Mapping[str, Array], *, dtype: str | tf.DType) -> None:
        """Adds parameters; in a graph, outside any loop that is being built."""
        kind = as_dtype(dtype)
        with tf.init_scope(), self.name_scope:
            for name, value in values.items():
                self.values[name] = tf.Variable(tf.cast(value, kind), name=name.replace(".", "/"))

    def parameters_by_name(self) -> dict[str, tf.Variable]:
        """The parameters themselves, in canonical order."""
        return dict(self.values)

    def export_parameters(self) -> Parameters:
        """A NumPy copy of every parameter under its canonical name.

        A graph's have values only in a session: its default session is asked.
        """
        mine = self.parameters_by_name()
        if tf.executing_eagerly():
            return {name: value.numpy() for name, value in mine.items()}
        return dict(_default_session().run(mine))

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ.

        A graph's are replaced in its default session.
        """
        mine = self.parameters_by_name()
        given = values_for(mine, parameters, where=type(self).__name__)
        if tf.executing_eagerly():
            for name, value in mine.items():
                value.assign(given[name])
        else:  # run the initializers with other values, which adds nothing to the graph
            initializers = {name: value.initializer for name, value in mine.items()}
            values = {initializers[name].inputs[1]: given[name] for name in mine}
            _default_session().run(initializers, values)


def values_for(mine: Mapping[str, Any], parameters: Mapping[str, Any], *, where: str) -> Parameters:
    """New values of all parameters, of their types; `ParameterError` where one is wrong, before any is replaced."""
    given = {name: _as_array(value, name=name) for name, value in parameters.items()}
    check_parameters(given, {name: tuple(value.shape) for name, value in mine.items()}, where=where)
    with np.errstate(over="ignore"):  # an infinity, as of any conversion
        return {name: given[name].astype(tf.as_dtype(value.dtype).as_numpy_dtype) for name, value in mine.items()}


def _as_array(value: Any, *, name: str) -> Array:
    """An array, a tensor or nested lists as an array."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ParameterError(f"{name!r} holds no numbers of one shape: {error}") from None
    if array.dtype.kind in "OSU":
        raise ParameterError(f"{name!r} holds no numbers of one shape, but {array.dtype.name}")
    return array


def _default_session() -> tf.compat.v1.Session:
    session = tf.compat.v1.get_default_session()
    if session is None:
        raise CellError("a graph's parameters have values only in a session: call this inside `with session:`")
    return session
