"""The kernels for a GPU compiled ahead of time, without one: what they take of a multiprocessor."""

from __future__ import annotations

import functools
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install '.[triton]'")

from impls.contract import PRECISIONS


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
