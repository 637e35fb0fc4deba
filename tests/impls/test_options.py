"""The options of the public classes: one set for signature, documentation, type checker and refusals."""

from __future__ import annotations

import importlib
import inspect
import pydoc
from dataclasses import fields
from pathlib import Path
from typing import Any, Unpack

import pytest

from impls.contract import FRAMEWORKS, CellSpec
from impls.errors import CellError
from impls.kinds import KINDS
from impls.options import OneLayerOrMore

CLASSES = tuple(
    f"{multi}{skip}{kind.upper()}{form}"
    for kind in KINDS
    for skip in ("", "Skip")
    for multi, form in (("", "Cell"), ("Multi", "Cell"), ("", ""))
)
OF_ONE_FRAMEWORK = {
    "batch_first",
    "every_step",
    "return_sequences",
    "return_state",
    "name",
    "trainable",
    "autocast",
    "activity_regularizer",
    "input_shape",
    "input_dim",
}


def public(framework: str, name: str) -> Any:
    return getattr(importlib.import_module(f"impls.{framework}"), name)


def options(framework: str, name: str) -> dict[str, inspect.Parameter]:
    units, *others = inspect.signature(public(framework, name)).parameters.values()
    assert units.name == "units"
    assert {other.kind for other in others} == {inspect.Parameter.KEYWORD_ONLY}
    return {other.name: other for other in others}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_public_class_is_looked_at(framework: str) -> None:
    assert sorted(CLASSES) == sorted(importlib.import_module(f"impls.{framework}").__all__)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_options_of_its_kind_and_no_other(name: str, framework: str) -> None:
    kind = KINDS["lstm" if "LSTM" in name else "gru"]
    expected = {"input_size", "activation", "layer_norm", "initial_state", "seed", "dtype", *kind.options}
    if "Skip" in name:
        expected |= {"update_bias", "gate"}
        if "Multi" in name or not name.endswith("Cell"):
            expected.add("gate_layer")
    if not name.endswith("Cell"):
        expected.add("engine")
    assert set(options(framework, name)) - OF_ONE_FRAMEWORK == expected


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_help_begins_with_what_a_class_is_and_tells_its_options(framework: str) -> None:
    told = str(importlib.import_module(f"impls.{framework}").SkipLSTM.__doc__)
    assert told.startswith("LSTM layers that learn to skip state updates")
    assert "    units: " in told
    assert "    forget_bias: " in told


@pytest.mark.parametrize("name", CLASSES)
def test_frameworks_have_the_same_options_with_the_same_defaults(name: str) -> None:
    ours, theirs = (
        {
            option: parameter.default
            for option, parameter in options(framework, name).items()
            if option not in {*OF_ONE_FRAMEWORK, "input_size", "dtype"}
        }
        for framework in FRAMEWORKS
    )
    assert list(ours.items()) == list(theirs.items())


# Fields of a spec that are no options of a class: its cell and units, and what a trial says of all its products.
TRIALS = ("cell", "units", "precision")


def test_order_and_defaults_are_the_contracts() -> None:
    spec = CellSpec(cell="skip_lstm", input_size=1, units=(1,))
    told = options("pytorch", "SkipLSTM")
    assert list(told)[:8] == [field.name for field in fields(CellSpec) if field.name not in TRIALS]
    for option, parameter in told.items():
        if hasattr(spec, option) and option != "input_size":
            assert parameter.default == getattr(spec, option)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", CLASSES)
def test_help_documents_every_option(name: str, framework: str) -> None:
    described = public(framework, name)
    for option, parameter in inspect.signature(described).parameters.items():
        assert f"    {option}: " in (inspect.getdoc(described) or "")
        assert parameter.annotation is not inspect.Parameter.empty
    text = pydoc.plain(pydoc.render_doc(described))
    assert "input_size: int" in text
    assert "activation: str | collections.abc.Callable[[typing.Any], typing.Any] = 'tanh'" in text
    assert ("forget_bias: float = 1.0" in text) == ("LSTM" in name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("name", "option", "nearest"),
    [
        ("SkipLSTM", "update_bais", "; did you mean 'update_bias'?"),
        ("SkipGRU", "forget_bias", ""),
        ("GRU", "gate", ""),
        ("LSTMCell", "engine", ""),
        ("SkipLSTMCell", "gate_layer", ""),
    ],
)
def test_an_option_that_a_class_has_not_is_refused(name: str, option: str, nearest: str, framework: str) -> None:
    with pytest.raises(CellError) as caught:
        public(framework, name)(4, input_size=3, **{option: 1.0})
    assert str(caught.value) == f"{name} has no option {option!r}{nearest}"


def test_an_option_that_is_needed_is_asked_for() -> None:
    with pytest.raises(CellError, match=r"^SkipGRU needs input_size: features of one time step$"):
        public("pytorch", "SkipGRU")(4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_users_class_keeps_its_own_signature_and_its_parents_options(framework: str) -> None:
    parent = public(framework, "SkipGRU")

    class Small(parent):
        def __init__(self, seed: int) -> None:
            super().__init__(2, input_size=3, seed=seed, update_bias=-1.0)

    assert list(inspect.signature(Small).parameters) == ["seed"]
    assert Small(1).spec.update_bias == -1.0
    assert Small(1).spec.cell == "skip_gru"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_class_whose_options_are_not_its_kinds_cannot_be_written(framework: str) -> None:
    base = public(framework, "SkipGRU").__mro__[1]
    sets = importlib.import_module(f"impls.{framework}.options")
    for cell, chosen, wrong in (
        ("gru", sets.LSTMOptions, "forget_bias"),
        ("lstm", sets.LayerOptions, "forget_bias"),
        ("gru", sets.SkipOptions, "gate, gate_layer, update_bias"),
        ("skip_gru", sets.LayerOptions, "gate, update_bias"),
    ):

        def constructor(self: Any, units: Any, **options: Any) -> None:
            pass

        constructor.__annotations__ = {"units": OneLayerOrMore, "options": Unpack[chosen]}
        with pytest.raises(TypeError, match=f"^Wrong: {wrong}: not as kinds.py has it for {cell}$"):
            type("Wrong", (base,), {"__init__": constructor}, cell=cell)


CALLS = """
import torch
from impls.pytorch import GRU, LSTM, LSTMCell, SkipGRU, SkipLSTM, SkipLSTMCell
from impls.tensorflow import GRUCell, MultiSkipLSTMCell
from impls.tensorflow import SkipLSTM as KerasSkipLSTM

SkipLSTM(5, input_size=3, activation=torch.tanh, forget_bias=0.5, update_bias=-1.0, gate_layer=0, dtype=torch.float64)
SkipGRU((4, 5), input_size=3, engine="reference", batch_first=False, seed=1)
KerasSkipLSTM(5, return_sequences=True, name="rnn", dtype="mixed_bfloat16")
MultiSkipLSTMCell([4, 5], gate_layer=0)
SkipLSTM(5, input_size=3, update_bais=1.0)  # call-arg
SkipLSTM(5)  # call-arg
SkipLSTM("5", input_size=3)  # arg-type
SkipLSTM(5, input_size=3, update_bias="1")  # arg-type
GRU(5, input_size=3, forget_bias=1.0)  # call-arg
LSTM(5, input_size=3, gate="round")  # call-arg
LSTMCell((4, 5), input_size=3)  # arg-type
SkipLSTMCell(5, input_size=3, gate_layer=0)  # call-arg
GRUCell(5, forget_bias=1.0)  # call-arg
KerasSkipLSTM(5, return_sequence=True)  # call-arg
KerasSkipLSTM(5, layer_norm="yes")  # arg-type
"""


CONFIGURATION = """
[mypy]
strict = true
follow_untyped_imports = true
[mypy-tensorflow.*,keras.*]
ignore_missing_imports = true
follow_imports = skip
"""


@pytest.mark.slow
def test_type_checker_reads_the_options(tmp_path: Path) -> None:
    """Every line that says which error it has, has it, and no other line has one."""
    api = pytest.importorskip("mypy.api")
    root = Path(__file__).parents[2]
    (tmp_path / "mypy.ini").write_text(CONFIGURATION)
    found, problems, _ = api.run(
        ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(root / ".mypy_cache" / "options"), "-c", CALLS]
    )
    assert problems == ""
    errors = [line for line in found.splitlines() if ": error: " in line]
    expected = [
        (str(number), line.partition("# ")[2]) for number, line in enumerate(CALLS.splitlines(), 1) if "# " in line
    ]
    assert [(line.split(":")[1], line.rpartition("[")[2].rstrip("]")) for line in errors] == expected
