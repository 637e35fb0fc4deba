"""A trial's parameters: a layer of either framework that has them does what the trial did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import RecordError
from bench.plan.trial import Trial, build_trial
from bench.records.files import LEFT_OUT, PARAMETERS_OF
from bench.records.store import Store, write_arrays
from bench.records.trained import read_trained, trained_layer
from bench.train.training import run_trial
from impls.contract import FRAMEWORKS
from impls.errors import CellError
from impls.layers import build_layer
from tests.impls.frameworks import tensor

PROTOCOL = {"steps": 3, "batch_size": 4, "learning_rate": 0.1, "evaluate_every": 3, "evaluation_sequences": 8}
CELLS: dict[str, dict[str, Any]] = {
    "skip_gru": {"update_bias": -1.0},
    "skip_lstm": {"units": [3, 2], "gate_layer": 0, "forget_bias": 0.5},
    "gru": {"layer_norm": True, "activation": "relu"},
    "lstm": {"initial_state": "zeros", "forget_bias": 0.0},
}


def small_trial(cell: str, **fields: Any) -> Trial:
    task = {"task": "adding", "options": {"length": 6}, "protocol": PROTOCOL}
    return build_trial({"units": [3], **task, "cell": cell, **CELLS[cell], **fields}, where="a test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    for cell in CELLS:
        run_trial(small_trial(cell, framework="pytorch"), store=store)
    return store


def folder(store: Store, cell: str = "skip_gru") -> Path:
    return store.folder_of(small_trial(cell, framework="pytorch").id)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_of_either_framework_does_what_the_trial_did(store: Store, cell: str, framework: str) -> None:
    place = folder(store, cell)
    layer, trained = trained_layer(place, framework), read_trained(place)
    with np.load(place / "gates.npz") as kept:
        outputs, _ = layer(tensor(framework, kept["inputs"]))
        h = layer_output(outputs.h)
        read_out = h[:, -1] @ trained.parameters["readout.weights"] + trained.parameters["readout.biases"]
        np.testing.assert_array_equal(layer_output(outputs.state_gate)[:, :, 0], kept["gates"])
        np.testing.assert_allclose(read_out, kept["predictions"], rtol=1e-5, atol=1e-6)


def layer_output(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else value.numpy()


def test_the_framework_is_the_trials_own_unless_another_is_named(store: Store) -> None:
    assert type(trained_layer(folder(store))).__module__ == "impls.pytorch.layers"
    assert type(trained_layer(folder(store), "tensorflow")).__module__ == "impls.tensorflow.layers"


def test_parameters_are_those_that_the_reported_numbers_are_of(store: Store) -> None:
    reported = read_trained(folder(store)).record.reported
    assert (reported, PARAMETERS_OF[reported]) == ("last", "final.npz")
    assert PARAMETERS_OF["best_validation"] == "best.npz"


def test_refusals_say_what_is_wrong_and_where(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no record; name a trial's folder"):
        read_trained(tmp_path)
    place = folder(store, "lstm")
    (place / LEFT_OUT).write_text('["final.npz"]')
    with pytest.raises(RecordError, match="each row's best seed alone"):
        read_trained(place)
    (place / LEFT_OUT).unlink()
    with np.load(place / "final.npz") as arrays:
        write_arrays(place / "final.npz", {name: array + 1 for name, array in arrays.items()})
    with pytest.raises(RecordError, match="was changed after it was written"):
        read_trained(place)
    (place / "final.npz").unlink()
    with pytest.raises(RecordError, match=r"final.npz: is not there"):
        read_trained(place)


def test_a_layer_takes_its_own_parameters_and_passes_over_a_readouts(store: Store) -> None:
    trained = read_trained(folder(store))
    layer = build_layer("pytorch", spec=trained.cell, parameters=trained.parameters, engine="reference")
    assert layer.engine == "reference"
    own = layer.export_parameters()
    assert set(trained.parameters) - set(own) == {"readout.weights", "readout.biases"}
    assert all(np.array_equal(own[name], trained.parameters[name]) for name in own)


def test_a_layer_of_another_precision_is_refused(store: Store) -> None:
    trained = read_trained(folder(store))
    with pytest.raises(CellError, match="precision='bfloat16': a layer multiplies in float32"):
        build_layer("pytorch", spec=replace(trained.cell, precision="bfloat16"), parameters=trained.parameters)
