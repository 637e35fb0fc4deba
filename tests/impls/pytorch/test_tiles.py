"""The kernels for a GPU: in Triton's interpreter, compiled ahead of time, and where there is one on the device."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install '.[triton]'")

from impls.contract import PRECISIONS

ROOT = Path(__file__).parents[3]


def interpreted(marker: str) -> str:
    """What pytest says of the tests of `tiles_interpreted.py` with this marker, Triton's interpreter on."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--durations=5"]
    finished = subprocess.run(
        [*command, "-m", marker, "tests/impls/pytorch/tiles_interpreted.py"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},  # read when Triton is imported
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_in_the_interpreter() -> None:
    assert " passed" in interpreted("not slow")


@pytest.mark.slow
def test_random_cells_in_the_interpreter() -> None:
    assert " passed" in interpreted("slow")


def test_kernels_know_every_kind_that_the_fast_engine_knows() -> None:
    from impls import kinds
    from impls.pytorch.engines.tiles.kinds import KINDS

    assert set(KINDS) == {name for name, kind in kinds.KINDS.items() if kind.has_kernels}


@functools.cache
def resources_of_training(name: str, cell: str, units: tuple[int, ...], precision: str = "float32") -> Any:
    """What a kernel takes of a card of 9.0: each is compiled once for all that is asked of it."""
    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import resources_of

    return resources_of(name, CellSpec(cell=cell, input_size=2, units=units, precision=precision), capability=90)


@pytest.mark.parametrize("name", ["forward", "skips", "runs", "backward"])
def test_a_kernel_compiles_for_a_gpu_and_spills_nothing(name: str) -> None:
    from impls.pytorch.engines.tiles.resources import MOST_SHARED

    found = resources_of_training(name, "skip_gru", (110, 110))
    assert found.spilled == 0
    assert 0 < found.registers <= 255
    assert found.shared <= MOST_SHARED


@pytest.mark.covering("cell", "streamed", "name", "precision")
@pytest.mark.parametrize("name", ["forward", "backward"])
@pytest.mark.parametrize(
    ("cell", "units", "precision", "streamed"),
    [
        ("skip_gru", (110, 110), "float32", True),  # which the test above compiles too
        ("skip_lstm", (64,), "float32", False),
        ("skip_gru", (110,), "float32", False),
        ("skip_lstm", (110,), "float32", True),  # 196 KB
        ("skip_lstm", (110,), "tf32", True),
        ("skip_lstm", (110,), "bfloat16", False),
        ("skip_lstm", (160,), "bfloat16", True),
        ("skip_gru", (64, 64), "float32", False),
    ],
    ids=str,
)
def test_matrices_stay_on_a_multiprocessor_where_they_fit(
    cell: str, units: tuple[int, ...], precision: str, streamed: bool, name: str
) -> None:
    import triton

    if not streamed and tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 9):
        pytest.skip(f"Triton {triton.__version__} copies past the first cache, whatever it is told; 3.9 does not")
    found = resources_of_training(name, cell, units, precision)
    assert found.spilled == 0
    assert (found.streamed > 0) == streamed


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("units", [(110,), (128,), (256,), (110, 110)], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "skip_lstm", "skip_gru"])
def test_every_kernel_compiles_and_spills_nothing(
    cell: str, units: tuple[int, ...], capability: int, precision: str
) -> None:
    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import MOST_SHARED, kernels_of, resources_of

    spec = CellSpec(cell=cell, input_size=2, units=units, precision=precision)
    for name in kernels_of(spec):
        found = resources_of(name, spec, capability=capability)
        assert found.spilled == 0, name
        assert found.shared <= MOST_SHARED, name


@pytest.mark.parametrize(
    ("capability", "features", "name", "stages"),
    [
        pytest.param(86, 16, "forward", 3, id="8.6"),  # 102 KB with four stages, where the card has 99
        pytest.param(80, 16, "forward", 4, marks=pytest.mark.slow, id="8.0"),
        pytest.param(86, 5, "skips", 3, marks=pytest.mark.slow, id="skips"),
        pytest.param(86, 17, "forward", 4, marks=pytest.mark.slow, id="17"),
        pytest.param(89, 5, "forward", 3, marks=pytest.mark.slow, id="8.9"),
    ],
)
def test_inputs_that_are_a_single_block_deep_fit_on_cards_with_less_shared_memory(
    capability: int, features: int, name: str, stages: int
) -> None:
    """Fewer blocks are on their way there, and there alone."""
    import torch

    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import SHARED, resources_of
    from impls.pytorch.engines.tiles.tile_sizes import tile_sizes

    spec = CellSpec(cell="skip_lstm", input_size=features, units=(110,))
    found = resources_of(name, spec, capability=capability)
    assert found.shared <= SHARED[capability]
    assert found.spilled == 0
    assert tile_sizes(spec, dtype=torch.float32, shared=SHARED[capability]).stages == stages


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("features", [5, 16, 17, 33])
@pytest.mark.parametrize("cell", ["lstm", "gru", "skip_lstm", "skip_gru"])
def test_every_number_of_features_fits_on_every_card(cell: str, features: int, precision: str) -> None:
    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import SHARED, kernels_of, resources_of

    for units in (110, 256):
        spec = CellSpec(cell=cell, input_size=features, units=(units,), precision=precision)
        for name in kernels_of(spec):
            assert resources_of(name, spec, capability=86).shared <= SHARED[86]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"layer_norm": True}, {"gate": "bernoulli"}, {"activation": "relu"}], ids=str)
@pytest.mark.parametrize("cell", ["skip_lstm", "skip_gru"])
def test_every_option_compiles(cell: str, options: dict[str, Any]) -> None:
    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import MOST_SHARED, kernels_of, resources_of

    spec = CellSpec(cell=cell, input_size=40, units=(64, 110), **options)
    for name in kernels_of(spec):
        assert resources_of(name, spec, capability=90).shared <= MOST_SHARED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["forward"], {"keep": False}),
        (["forward"], {"keep": False, "every_step": False}),
        (["runs", "backward"], {"of_h": False}),
        (["runs", "backward"], {"of_gates": False}),
        (["forward", "skips", "runs", "backward"], {"dtype": "float64"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("cell", ["skip_lstm", "skip_gru", "lstm", "gru"])
def test_whatever_is_asked_of_a_kernel_it_compiles(
    cell: str, capability: int, names: list[str], asked: dict[str, Any]
) -> None:
    import torch

    from impls.contract import CellSpec
    from impls.pytorch.engines.tiles.resources import MOST_SHARED, resources_of

    if "dtype" in asked:
        asked = {"dtype": getattr(torch, asked["dtype"])}
    spec = CellSpec(cell=cell, input_size=40, units=(64, 110), layer_norm=cell == "skip_gru")
    for name in names:
        for drawn in [False] if spec.skips else [False, True]:
            if spec.skips or name != "skips":
                found = resources_of(name, spec, capability=capability, **asked, drawn=drawn)
                assert found.shared <= MOST_SHARED, name


FRAMEWORK = pytest.mark.parametrize("framework", ["pytorch"])  # whose device the fixture `cuda` asks for


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("units", [(20,), (110,), (300,), (7, 1, 18)], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "skip_lstm", "skip_gru"])
def test_cells_on_a_device(cell: str, units: tuple[int, ...], dtype: str, framework: str) -> None:
    """In float64, where rounding hides no race; more sequences than a tile, which differ in their updates."""
    import torch

    from impls.contract import CellSpec
    from tests.impls.test_fast_pytorch import case_for, compare

    spec = CellSpec(cell=cell, input_size=2, units=units, update_bias=-1.0)
    compare(case_for(spec, batch=37, time=30, lengths=True), getattr(torch, dtype), device="cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"gate": "bernoulli"}, {"activation": "relu"}, {"gate_layer": 0, "forget_bias": 0.3}],
    ids=str,
)
@pytest.mark.parametrize("cell", ["skip_lstm", "skip_gru"])
def test_options_on_a_device(cell: str, options: dict[str, Any], framework: str) -> None:
    from impls.contract import CellSpec
    from tests.impls.test_fast_pytorch import case_for, compare

    spec = CellSpec(cell=cell, input_size=40, units=(20, 33), update_bias=-1.0, **options)
    compare(case_for(spec, batch=37, time=30), device="cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
@pytest.mark.parametrize("units", [(20,), (110,), (7, 1, 18)], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "skip_lstm", "skip_gru"])
def test_operands_in_bfloat16_on_a_device(cell: str, units: tuple[int, ...], framework: str) -> None:
    """To float64's digits, in which kernels round what they do in float32."""
    from impls.contract import CellSpec
    from tests.impls.test_fast_pytorch import case_for, compare

    spec = CellSpec(cell=cell, input_size=7, units=units, update_bias=-1.0, precision="bfloat16")
    compare(case_for(spec, batch=37, time=20, lengths=True), device="cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
@pytest.mark.parametrize("features", [2, 16])
@pytest.mark.parametrize("cell", ["lstm", "gru", "skip_lstm", "skip_gru"])
def test_low_precision_on_a_device(cell: str, features: int, precision: str, framework: str) -> None:
    """As near the reference as its own rounding, and no nearer to what rounds nothing; gates fire at set steps."""
    import numpy as np
    import torch

    from impls.contract import CellSpec
    from impls.pytorch.products import multiplying
    from tests.impls.test_fast_pytorch import case_for, results

    found = {}
    for asked in (precision, "float32"):
        spec = CellSpec(cell=cell, input_size=features, units=(110,), update_bias=-1.0, precision=asked)
        case = case_for(spec, batch=37, time=20)
        if spec.skips:
            case.parameters["update_gate.weights"][:] = 0.0
        with multiplying(asked, device="cuda"):
            for engine in ("reference", "fast"):
                found[asked, engine] = results(case, engine, torch.float32, "cuda")
    (outputs, gradients), (ours, our_gradients) = (found[precision, engine] for engine in ("reference", "fast"))
    np.testing.assert_array_equal(ours[1], outputs[1])
    most = {"tf32": 1e-2, "bfloat16": 3e-2}[precision]
    np.testing.assert_allclose(ours[0], outputs[0], rtol=0, atol=most)
    for name, theirs in gradients.items():
        assert np.linalg.norm(our_gradients[name] - theirs) <= most * max(np.linalg.norm(theirs), 1e-3), name
    assert np.abs(ours[0] - found["float32", "fast"][0][0]).max() > {"tf32": 1e-5, "bfloat16": 1e-4}[precision]


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
def test_a_device_gives_the_same_bits_again(framework: str) -> None:
    """No sum hangs on which program or thread comes first."""
    import torch

    from impls.pytorch import SkipLSTM

    layer = SkipLSTM(110, input_size=2, update_bias=-1.0).cuda()
    inputs = torch.randn(64, 100, 2, device="cuda")
    runs = []
    for _ in range(3):
        outputs, _ = layer(inputs)
        gradients = torch.autograd.grad(outputs.h.square().sum() + outputs.state_gate.sum(), [*layer.parameters()])
        runs.append([outputs.h.detach(), *gradients])
    for again in runs[1:]:
        assert all(torch.equal(one, other) for one, other in zip(again, runs[0], strict=True))


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
def test_a_device_is_not_waited_for_and_a_graph_takes_a_step(framework: str) -> None:
    """A training step is recorded as a CUDA graph, which refuses whatever waits for the device, and replayed."""
    import torch

    from impls.pytorch import SkipGRU

    layer = SkipGRU(32, input_size=2, update_bias=-1.0).cuda()
    inputs = torch.randn(40, 30, 2, device="cuda")

    def step() -> list[torch.Tensor]:
        outputs, _ = layer(inputs)
        loss = outputs.h.square().sum() + outputs.state_gate.sum()
        return [outputs.h, *torch.autograd.grad(loss, [*layer.parameters()])]

    expected = [value.detach().clone() for value in step()]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = step()
    graph.replay()
    for ours, theirs in zip(recorded, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
@pytest.mark.filterwarnings("default")  # PyTorch's compiler imports what PyTorch calls deprecated
def test_one_graph_of_a_compiled_module_on_a_device(framework: str) -> None:
    import torch

    from impls.pytorch import SkipLSTM

    layer = SkipLSTM(20, input_size=2, dtype="float64", update_bias=-1.0).cuda()
    inputs = torch.randn(5, 9, 2, dtype=torch.float64, device="cuda")
    gradients = []
    for form in (torch.compile(layer, fullgraph=True), layer):
        outputs, _ = form(inputs)
        loss = outputs.h.square().sum() + outputs.state_gate.sum()
        gradients.append([outputs.h, *torch.autograd.grad(loss, [*layer.parameters()])])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@FRAMEWORK
def test_a_learner_tells_that_tiles_ran(framework: str) -> None:
    from impls.pytorch.engines import implementation_of

    assert implementation_of("fast", device="cuda", dtype="float32") == "tiles"
    assert implementation_of("fast", device="cuda", dtype="float32", precision="bfloat16") == "tiles"
    assert implementation_of("fast", device="cuda", dtype="bfloat16") == "operations"


def pretend_there_is_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to find C compiler. Please specify via CC environment variable"),
        subprocess.CalledProcessError(1, ["gcc", "main.c"]),
        AssertionError("libcuda.so cannot found!"),
        FileNotFoundError(2, "No such file or directory", "ptxas"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_triton_cannot_build_the_dense_form_runs_and_it_is_said_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from impls.pytorch.engines import implementation
    from impls.pytorch.engines.tiles import probe

    def build(device: str) -> None:
        raise error

    pretend_there_is_a_card(monkeypatch)
    monkeypatch.setattr(probe, "build_a_kernel", build)
    implementation._builds.cache_clear()
    for _ in range(2):
        assert implementation.implementation_of("fast", device="cuda", dtype="float32") == "operations"
    implementation._builds.cache_clear()
    (told,) = (str(warning.message) for warning in recwarn)
    assert "skips save no time" in told
    assert str(error) in told


def test_a_card_without_memory_is_no_reason_for_the_dense_form(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from impls.pytorch.engines import implementation
    from impls.pytorch.engines.tiles import probe

    pretend_there_is_a_card(monkeypatch)
    implementation._builds.cache_clear()
    for error in (torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("Triton Error [CUDA]: out of memory")):

        def build(device: str, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(probe, "build_a_kernel", build)
        with pytest.raises(type(error), match="out of memory"):
            implementation.implementation_of("fast", device="cuda", dtype="float32")


def test_a_device_that_the_kernels_are_not_for_takes_the_dense_form(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from impls.pytorch.engines import implementation
    from impls.pytorch.engines.implementation import implementation_of

    pretend_there_is_a_card(monkeypatch)
    monkeypatch.setattr(implementation, "_builds", lambda device: True)
    told = []
    cards = ((9, 0), (8, 0), (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: cards[torch.device(device).index])
    for index in range(len(cards)):
        dtypes = ("float32", "float16")
        told.append([implementation_of("fast", device=f"cuda:{index}", dtype=dtype) for dtype in dtypes])
    assert told == [["tiles", "operations"], ["tiles", "operations"], ["operations", "operations"]]
    for precision in PRECISIONS:
        assert implementation_of("fast", device="cuda:1", dtype="float32", precision=precision) == "tiles"
        assert implementation_of("fast", device="cuda:2", dtype="float32", precision=precision) == "operations"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert implementation_of("fast", device="cuda", dtype="float32") == "operations"
    assert implementation_of("fast", device="cpu:0", dtype="float32") == "kernels"
    assert implementation_of("fast", device="cpu:0", dtype="float32", precision="bfloat16") == "operations"
