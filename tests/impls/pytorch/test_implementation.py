"""Which implementation the fast engine takes for a device, which is not needed for it."""

from __future__ import annotations

import subprocess

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install '.[triton]'")

from impls.contract import PRECISIONS


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
