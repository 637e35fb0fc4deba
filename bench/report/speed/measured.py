"""What a file of benchmarks must hold to be reported, and which of its workloads this version knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from bench.errors import SpeedError, explain
from impls.contract import BASELINES, ENGINES, PRECISIONS
from impls.kinds import cells

# Columns of a workload whose values a later version may add to.
NAMED = ("framework", "subject", "cell", "precision")

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(gt=0)]
Date = Annotated[str, StringConstraints(min_length=16)]


class _Read(BaseModel):
    """What is read of an object; pytest-benchmark writes more."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Workload(_Read):
    framework: str
    subject: str
    cell: str
    input_size: Count
    units: Count
    length: Count
    batch_size: Count
    updates_every: Count
    updates: Annotated[FiniteFloat, Field(gt=0)]
    training: bool
    device: str
    threads: Annotated[int, Field(ge=0)]
    precision: str = "float32"  # before it was told
    implementation: str = ""  # the same
    pass_number: Annotated[int, Field(ge=0)]
    first_seconds: FiniteFloat

    def unknown(self) -> str:
        """What of it this version does not know, such as `cell skip_rwkv`; empty where it knows all."""
        subjects = (*ENGINES, *BASELINES.get(self.framework, ()))
        known = {"framework": tuple(BASELINES), "subject": subjects, "cell": cells(), "precision": PRECISIONS}
        named = {name: getattr(self, name) for name in NAMED}
        return next((f"{name} {value}" for name, value in named.items() if value not in known[name]), "")


class _Stats(_Read):
    median: Seconds
    data: list[FiniteFloat]


class _Benchmark(_Read):
    extra_info: _Workload
    stats: _Stats


class _Machine(_Read):
    processor: str
    cores: int | None
    memory_bytes: int
    system: str
    python: str
    packages: dict[str, str]
    libraries: dict[str, str] = {}
    gpu: str | None = None
    gpu_memory: str | None = None
    gpu_capability: str | None = None
    gpu_driver: str | None = None


class _File(_Read):
    machine_info: _Machine
    datetime: Date
    benchmarks: list[_Benchmark]
    failed: list[str]
    cut: dict[str, str] = {}
    scale: str
    left_out: dict[str, str]


def checked(content: object, *, where: str) -> dict[str, Any]:
    """The content of a file of benchmarks, without the workloads that this version does not know.

    `unknown` says how many those are, by what is not known of them. Raises `SpeedError` where anything else is wrong,
    or no workload is left.
    """
    again = "delete it and run: python -m bench speed"
    if not isinstance(content, dict):
        raise SpeedError(f"{where}: holds no benchmarks; {again}")
    try:
        found = _File.model_validate(content)
    except ValidationError as error:
        raise SpeedError(f"{explain(error, _File, where=where)}; {again}") from None
    unknown = [benchmark.extra_info.unknown() for benchmark in found.benchmarks]
    known = [entry for entry, why in zip(content["benchmarks"], unknown, strict=True) if not why]
    if not known:
        raise SpeedError(f"{where}: holds no benchmark that this version knows; {again}")
    told = {"implementation", "updates", "device", "threads", "first_seconds"}  # not asked for
    measured = Counter(benchmark.extra_info.model_dump_json(exclude=told) for benchmark in found.benchmarks)
    if measured.total() > len(measured):
        raise SpeedError(f"{where}: tells a workload of a pass twice; {again}")
    counts: Mapping[str, int] = Counter(filter(None, unknown))
    return {**content, "benchmarks": known, "unknown": dict(counts)}
