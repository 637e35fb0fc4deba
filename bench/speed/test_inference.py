"""Inference: forward alone; by engine, beside the native layers and the floor."""

from __future__ import annotations

from collections.abc import Callable

from bench.speed.workloads import Workload


def test_inference(pass_number: int, workload: Workload, measure: Callable[..., None]) -> None:
    """One workload in one pass."""
    measure(workload, pass_number=pass_number)
