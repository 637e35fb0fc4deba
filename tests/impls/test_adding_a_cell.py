"""The third kind of `docs/adding-a-cell.md`, added as the page says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.launch.duration.estimate import estimate_seconds
from bench.plan.trial import build_trial
from bench.records.store import Store
from bench.report.figures.style import cell_colours
from bench.speed.scales import SCALES, grid
from bench.train.draws import with_draws
from bench.train.training import run_trial
from impls import kinds, reference
from impls.contract import FRAMEWORKS, CellSpec
from impls.errors import CellError
from tests.impls.frameworks import array, assert_gradients_close, parameters_for, tensor

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-cell.md"
IN_TENSORFLOW = ("torch.cat([x, state[0]], dim=1)", "tf.concat([x, state[0]], axis=1)")


@pytest.fixture(autouse=True)
def rnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the page's code to the modules that it names."""
    text = PAGE.read_text(encoding="utf-8")
    kind, oracle, step, layer = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert IN_TENSORFLOW[1] in text
    assert step.count(IN_TENSORFLOW[0]) == 1
    places = {
        "impls.kinds": kind,
        "impls.reference": oracle,
        "impls.pytorch.equations": step,
        "impls.tensorflow.equations": step.replace(*IN_TENSORFLOW),
    }
    for name, code in places.items():
        module = importlib.import_module(name)
        registry = "KINDS" if name == "impls.kinds" else "LAYER_STEPS"
        monkeypatch.setattr(module, registry, getattr(module, registry))
        for made in re.findall(r"^(?:def|class) (\w+)|^(\w+) =", code, flags=re.MULTILINE):
            monkeypatch.setattr(module, next(filter(None, made)), None, raising=False)
        monkeypatch.setitem(getattr(module, registry), "rnn", None)
        exec(compile(code, f"{PAGE.name}: {name}", "exec"), vars(module))
    for framework in FRAMEWORKS:
        module = importlib.import_module(f"impls.{framework}.layers")
        monkeypatch.setattr(module, "SkipRNN", None, raising=False)
        # The page's class takes its options from the module, not from this compilation's future.
        exec(compile(layer, f"{PAGE.name}: layers", "exec", dont_inherit=True), vars(module))


def test_the_page_has_fewer_than_eighty_lines() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 80


def unrolled(framework: str, spec: CellSpec, values: dict[str, Any], x: Any, *, engine: str, **given: Any) -> Any:
    """h, gates and the gradients of both, of the parameters and the inputs."""
    equations, engines = (importlib.import_module(f"impls.{framework}.{name}") for name in ("equations", "engines"))
    parameters = {name: tensor(framework, value) for name, value in values.items()}
    inputs = tensor(framework, x)
    given = {name: tensor(framework, value) for name, value in given.items()}
    watched = {"x": inputs, **parameters}

    def run() -> tuple[Any, Any]:
        start = equations.initial_state(spec, parameters, batch=len(x), like=inputs)
        h, gates, _ = engines.unroll(spec, parameters, inputs, start, engine=engine, **given)
        return h, gates

    if framework == "pytorch":
        import torch

        for value in watched.values():
            value.requires_grad_()
        h, gates = run()
        found = torch.autograd.grad((h**2).sum() + gates.sum(), list(watched.values()))
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(list(watched.values()))
            h, gates = run()
            loss = tf.reduce_sum(h**2) + tf.reduce_sum(gates)
        found = tape.gradient(loss, list(watched.values()))
    return array(h), array(gates)[:, :, 0], {k: array(v) for k, v in zip(watched, found, strict=True)}


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "skip_rnn"])
@pytest.mark.parametrize("units", [(5,), (4, 3)])
def test_frameworks_agree_with_the_oracle_and_each_other(cell: str, units: tuple[int, ...], layer_norm: bool) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=units, update_bias=-0.5, layer_norm=layer_norm)
    values = parameters_for(spec, seed=2)
    draw = np.random.default_rng(3)
    x = draw.standard_normal((4, 11, 3))
    given = {} if spec.skips else {"updates": (draw.random((4, 11)) < 0.6).astype(np.float64)}
    oracle = reference.unroll(spec, values, x, **given)
    assert 0.1 < oracle.gates.mean() < 1
    gradients = []
    for framework in FRAMEWORKS:
        h, gates, found = unrolled(framework, spec, values, x, engine="reference", **given)
        np.testing.assert_allclose(h, oracle.h, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(gates, oracle.gates)
        gradients.append(found)
    assert_gradients_close(*gradients, tolerance=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "skip_rnn"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_fast_engine_refuses_it_by_name(framework: str, cell: str) -> None:
    spec = CellSpec(cell=cell, input_size=3, units=(5,))
    message = f"engine='fast' has no kernels for cell '{cell}'; use engine='reference'"
    with pytest.raises(CellError, match=re.escape(message)):
        unrolled(framework, spec, parameters_for(spec), np.zeros((2, 3, 3)), engine="fast")


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_it_trains(tmp_path: Path, framework: str) -> None:
    content: dict[str, Any] = {"task": "adding", "framework": framework, "units": 8, "options": {"length": 6}}
    content |= {"protocol": {"steps": 3, "evaluation_sequences": 32}, "engine": "reference"}
    made = build_trial(content | {"cell": "skip_rnn"}, where="page")
    record = run_trial(made, store=Store(tmp_path))
    assert (record.status, record.trial.cell, record.implementation) == ("ok", "skip_rnn", "reference")
    macs = 8 * (2 + 8)
    assert record.flops_per_sequence == pytest.approx(record.updates * macs)
    assert record.work_per_sequence == 6 * macs
    assert estimate_seconds(made, data=tmp_path) > 0
    plain = build_trial(content | {"cell": "rnn", "period": 2}, where="page")
    batch = plain.build_task().train_batch(seed=0, step=0, size=2)
    updates = with_draws(batch, plain, stream="train", step=0).updates
    assert updates is not None
    assert updates.mean() == 0.5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_its_layer_is_built_called_and_described(framework: str) -> None:
    layer_class = importlib.import_module(f"impls.{framework}.layers").SkipRNN
    layer = layer_class(5, input_size=3, engine="reference", update_bias=-0.5, seed=1)
    x = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)
    outputs, state = layer(tensor(framework, x))
    oracle = reference.unroll(layer.spec, layer.export_parameters(), x)
    np.testing.assert_allclose(array(outputs.h), oracle.h, rtol=0, atol=2e-6)
    assert type(state).__name__ == "SkipRNNState"
    assert "update_bias: initial bias of the skip gate" in str(layer_class.__doc__)
    with pytest.raises(CellError, match="has no option 'forget_bias'"):
        layer_class(5, input_size=3, forget_bias=1.0)


def test_a_kind_has_kernels_where_the_engines_have_them() -> None:
    from impls.pytorch.engines.kernels import layout

    known = {name for name, kind in kinds.KINDS.items() if kind.has_kernels}
    assert known == {"lstm", "gru"} == set(layout.KINDS)
    for framework in FRAMEWORKS:
        assert set(importlib.import_module(f"impls.{framework}.adjoints").PIECES) == known


def test_reports_and_the_speed_suite_bear_it() -> None:
    everything = cell_colours([*kinds.cells()])
    assert len(set(everything.values())) == len(kinds.cells())
    assert cell_colours(["skip_rnn"])["skip_rnn"] == everything["skip_rnn"], "in all figures the same"
    timed = {work.cell for scale in SCALES.values() for work in grid("pytorch", scale=scale, training=True)}
    assert timed == {"lstm", "gru", "skip_lstm", "skip_gru"}, "what the fast engine and the framework's layers lack"
