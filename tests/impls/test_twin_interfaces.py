"""The twin files, read as text: the same public names, in the same order, called the same way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

IMPLS = Path(__file__).parents[2] / "impls"
# What an engine is made of is its framework's own; how it is asked is not.
OF_ONE_ENGINE = {"engines/operations.py", "engines/first_order.py"}
# What one framework has and the other has not: packed sequences, autocast, `torch.func` and hooks; masks, programs of
# XLA and their loops, Keras's backend.
FILES_OF_ONE_FRAMEWORK = {"packed_sequences.py", "precision.py", "transforms.py", "hooks.py"} | {
    "masks.py",
    "engines/compilation.py",
    "gpu_loops.py",
    "keras_backend.py",
}


def twin_files(framework: str) -> list[str]:
    """The files that both frameworks have, by their path in the twin."""
    folder = IMPLS / framework
    found = [
        path.relative_to(folder).as_posix() for pattern in ("*.py", "engines/*.py") for path in folder.glob(pattern)
    ]
    return sorted(name for name in found if name not in OF_ONE_ENGINE | FILES_OF_ONE_FRAMEWORK)


FILES = twin_files("pytorch")
# PyTorch keeps gradients on the parameters, TensorFlow hands them around: equal names, other arguments.
EQUAL_IN_NAMES_ALONE = {"optimizer.py"}

# What one framework's manners ask for and the other's do not.
OF_ONE_FRAMEWORK = {
    "static_or_dynamic_size",  # graphs with unknown sizes
    "add_parameters",  # parameters that wait for the size of the inputs
    "built",
    "build",
    "get_initial_state",  # dynamic_rnn
    "get_config",  # Keras
    "input_dtype",
    "compute_mask",
    "compute_output_shape",
    "compute_output_spec",
    "answered",  # XLA, which drops assertions
    "tied",  # a tape, which asks for gradients after the call
    "extra_repr",  # torch.nn.Module
    # What PyTorch's cells and layers inherit: Keras layers have their own base, cells may not have their size yet.
    "Cell.parameters_by_name",
    "Cell.export_parameters",
    "Cell.load_parameters",
    "Layer.parameters_by_name",
    "Layer.export_parameters",
    "Layer.load_parameters",
}
SAME = {"forward": "call", "__call__": "call"}  # how a module's call is spelt
ARGUMENTS_OF_ONE_FRAMEWORK = {
    "batch_first",
    "return_sequences",
    "return_state",
    "kwargs",
    "initial_state",  # of a call: Keras's name for `state`
    "mask",
    "inputs_mask",
    "transpose_left",  # PyTorch has views
    "transpose_right",
}
DEFAULTS_OF_ONE_FRAMEWORK = {"input_size", "dtype"}


def public(name: str, *, owner: str = "") -> bool:
    shared = name not in OF_ONE_FRAMEWORK and f"{owner}.{name}" not in OF_ONE_FRAMEWORK
    return shared and (not name.startswith("_") or name in ("__init__", "__call__"))


def arguments(function: ast.FunctionDef) -> list[tuple[str, str, str]]:
    """Name, kind and default of each argument."""
    every = function.args
    positional = [*every.posonlyargs, *every.args]
    defaults = [None] * (len(positional) - len(every.defaults)) + [*every.defaults]
    listed = [(argument.arg, "positional", default) for argument, default in zip(positional, defaults, strict=True)]
    listed += [
        (argument.arg, "keyword", default)
        for argument, default in zip(every.kwonlyargs, every.kw_defaults, strict=True)
    ]
    own = ARGUMENTS_OF_ONE_FRAMEWORK - ({"initial_state"} if function.name == "__init__" else set())
    return [
        (name, kind, "" if default is None or name in DEFAULTS_OF_ONE_FRAMEWORK else ast.unparse(default))
        for name, kind, default in listed
        if name not in own
    ]


def summary(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    """The docstring's first sentence."""
    return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ").partition(". ")[0].rstrip(".")


def interface(path: Path) -> list[tuple[str, object, str]]:
    """Public names of a module and of its classes, in order, with arguments and summaries."""
    found: list[tuple[str, object, str]] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and public(node.name):
            found.append((node.name, arguments(node), summary(node)))
        elif isinstance(node, ast.ClassDef) and public(node.name):
            found.append((node.name, None, summary(node)))
            found += [
                (f"{node.name}.{SAME.get(method.name, method.name)}", arguments(method), summary(method))
                for method in node.body
                if isinstance(method, ast.FunctionDef) and public(method.name, owner=node.name)
            ]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [(target.id, None, "") for target in targets if isinstance(target, ast.Name) and public(target.id)]
    return found


def test_both_frameworks_have_the_same_files() -> None:
    assert twin_files("tensorflow") == FILES


@pytest.mark.parametrize("name", FILES)
def test_twins_have_the_same_interface(name: str) -> None:
    ours, theirs = (interface(IMPLS / framework / name) for framework in ("pytorch", "tensorflow"))
    if name in EQUAL_IN_NAMES_ALONE:
        ours, theirs = ([(entry, None, text) for entry, _, text in twin if "." not in entry] for twin in (ours, theirs))
    assert [entry[:2] for entry in ours] == [entry[:2] for entry in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        own_words = ("PyTorch", "TensorFlow", "torch.nn.LSTM", "keras.layers.LSTM", "torch", "tensorflow", "Keras")
        spoken = [entry[2] for entry in (mine, other)]
        if not any(word in text for word in own_words for text in spoken):
            assert spoken[0] == spoken[1], mine[0]
