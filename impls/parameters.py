"""Parameters without a framework: canonical names, shapes, gate order, seeded initial values.

Canonical names, for layer k counted from 0 (input sizes d, units n):

    embedding.weights            [vocabulary, d]   only for models over tokens
    layers.k.weights             [d + n, 4n]       LSTM, over [x, h]; gates in the order i, j, f, o
    layers.k.biases              [4n]
    layers.k.gate_weights        [d + n, 2n]       GRU, over [x, h]; gates in the order r, z
    layers.k.gate_biases         [2n]
    layers.k.candidate_weights   [d + n, n]        GRU, over [x, r * h]
    layers.k.candidate_biases    [n]
    layers.k.norm_gains          [gates, n]        layer norm: LSTM i, j, f, o; GRU r, z
    layers.k.norm_biases         [gates, n]
    layers.k.initial_c           [1, n]            LSTM, where the initial state is learned
    layers.k.initial_h           [1, n]
    update_gate.weights          [n, 1]            skip cells, over the state of the gate's layer
    update_gate.biases           [1]
    readout.weights              [n, outputs]      models
    readout.biases               [outputs]
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from impls.checks import dtype_name
from impls.contract import Array, CellSpec, ModelSpec, Parameters, as_float32
from impls.errors import ParameterError, nearest
from impls.kinds import Kind
from impls.official import from_official, to_official

__all__ = [
    "cell_shapes",
    "check_parameters",
    "checksum",
    "from_official",
    "initial_parameters",
    "initial_value",
    "layer_input_sizes",
    "layer_shapes",
    "model_shapes",
    "to_official",
]


def layer_input_sizes(spec: CellSpec) -> tuple[int, ...]:
    """What each layer reads besides its state: the input, then the layer below."""
    return (spec.input_size, *spec.units[:-1])


def layer_shapes(
    kind: Kind, *, input_size: int, units: int, layer_norm: bool, initial_state: str
) -> dict[str, tuple[int, ...]]:
    """Shapes of one layer's parameters under their short names, in canonical order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for matrix in kind.matrices:
        width = len(matrix.gates) * units
        shapes[f"{matrix.prefix}weights"] = (input_size + units, width)
        shapes[f"{matrix.prefix}biases"] = (width,)
    if layer_norm:
        shapes["norm_gains"] = shapes["norm_biases"] = (len(kind.normalised), units)
    if initial_state == "learned":
        shapes |= {f"initial_{name}": (1, units) for name in kind.state}
    return shapes


def cell_shapes(spec: CellSpec) -> dict[str, tuple[int, ...]]:
    """Canonical names and shapes of a cell's parameters, in canonical order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (input_size, units) in enumerate(zip(layer_input_sizes(spec), spec.units, strict=True)):
        of_layer = layer_shapes(
            spec.kind,
            input_size=input_size,
            units=units,
            layer_norm=spec.layer_norm,
            initial_state=spec.initial_state,
        )
        shapes.update({f"layers.{layer}.{name}": shape for name, shape in of_layer.items()})
    if spec.skips:
        shapes["update_gate.weights"] = (spec.units[spec.gate_layer], 1)
        shapes["update_gate.biases"] = (1,)
    return shapes


def model_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Canonical names and shapes of a model's parameters, in canonical order."""
    shapes: dict[str, tuple[int, ...]] = {}
    if spec.vocabulary_size:
        shapes["embedding.weights"] = (spec.vocabulary_size, spec.cell.input_size)
    shapes.update(cell_shapes(spec.cell))
    shapes["readout.weights"] = (spec.cell.units[-1], spec.output_size)
    shapes["readout.biases"] = (spec.output_size,)
    return shapes


def initial_value(spec: CellSpec, name: str, shape: tuple[int, ...], *, seed: int) -> Array:
    """One parameter's initial value in a cell or in a model around it, float32; a pure function of its arguments.

    Weights are Glorot uniform over the whole concatenated matrix, initial states N(0, 1), biases what the kind says,
    the skip gate's `update_bias`, embeddings U(-0.25, 0.25), gains 1, and every other bias 0: the authors' choices.
    """
    # Of a list NumPy would make floats where a seed has 64 bits, and round it.
    key = np.array([seed, zlib.crc32(name.encode())], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))
    if name == "embedding.weights":
        value = generator.uniform(-0.25, 0.25, shape)
    elif name == "update_gate.biases":
        value = np.full(shape, spec.update_bias)
    elif ".initial_" in name:
        value = generator.standard_normal(shape)
    elif name.endswith("weights"):
        limit = np.sqrt(6.0 / (shape[0] + shape[1]))
        value = generator.uniform(-limit, limit, shape)
    else:
        biases = {f"{matrix.prefix}biases": matrix.initial_bias for matrix in spec.kind.matrices}
        constants = biases | {"norm_gains": 1.0} if name.startswith("layers.") else {}
        value = np.full(shape, constants.get(name.rpartition(".")[2], 0.0))
    return as_float32(value)


def initial_parameters(spec: CellSpec | ModelSpec, *, seed: int) -> Parameters:
    """Initial values of a cell or model under canonical names, float32: what both frameworks load.

    Each parameter has a generator of its own, keyed by the seed and its name, so a cell's values do not depend
    on what else stands in the model.
    """
    cell, shapes = (spec, cell_shapes(spec)) if isinstance(spec, CellSpec) else (spec.cell, model_shapes(spec))
    return {name: initial_value(cell, name, shape, seed=seed) for name, shape in shapes.items()}


def in_order(array: Array) -> Array:
    """The array contiguous and in the machine's byte order: PyTorch takes no other. Its shape stays."""
    return np.asarray(array, dtype=np.asarray(array).dtype.newbyteorder("="), order="C")


def check_parameters(parameters: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Raises `ParameterError` unless `parameters` has exactly these names and shapes, and holds real numbers."""
    for name in parameters:
        if name not in shapes:
            raise ParameterError(f"{where} has no parameter {name!r}{nearest(name, shapes)}")
    for name, shape in shapes.items():
        if name not in parameters:
            raise ParameterError(f"{where} needs the parameter {name!r} {list(shape)}, which is not given")
        given = tuple(np.shape(parameters[name]))
        if given != tuple(shape):
            raise ParameterError(f"{where}: {name!r} has shape {list(given)} where {list(shape)} is needed")
        value = parameters[name]
        kind = dtype_name(value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype)
        if "float" not in kind and "int" not in kind:
            raise ParameterError(f"{where}: {name!r} is {kind} where real numbers are needed")


def checksum(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the mapping's order; 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
