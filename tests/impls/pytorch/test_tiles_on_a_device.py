"""The kernels for a GPU on one."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install '.[triton]'")


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
