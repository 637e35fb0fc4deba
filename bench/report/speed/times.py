"""The benchmarks' times: one row a workload, with its ratios to the native layer, to the floor and to itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import SpeedError
from bench.machine.disk import read_text
from bench.report.frames import rows_of
from bench.report.names import cell_name, framework_name
from bench.report.numbers import NONE, number
from bench.report.speed.implementations import engine_name
from bench.report.speed.measured import checked
from impls.contract import BASELINES, ENGINES, PRECISIONS
from impls.kinds import cells, skip_cells

NATIVE = ("native", "native_jit")
PRODUCTS = "products"
NATIVE_LAYERS = {"pytorch": "torch.nn", "tensorflow": "keras.layers"}
# What tells one workload from another, in the order of a table.
WORKLOAD = (
    "step", "framework", "batch_size", "length", "input_size", "units", "precision", "cell", "subject",
    "updates_every",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Benchmarks:
    """What the benchmarks measured: the file's content, and its times as `times_table` makes them."""

    content: dict[str, Any]
    times: pd.DataFrame


def unknown_workloads(content: dict[str, Any]) -> list[str]:
    """What this version does not know among the workloads, and leaves out: a line each."""
    return [
        f"{count} {'time is' if count == 1 else 'times are'} left out, of a workload that this version does not know: "
        f"{name}."
        for name, count in content.get("unknown", {}).items()
    ]


def benchmarks_beside(results: Path) -> Benchmarks | None:
    """The benchmarks beside the records; None where they were not run. Raises `SpeedError`."""
    path = results / "speed" / "benchmarks.json"
    if not path.exists():
        return None
    file = path.stat()
    return _benchmarks(results, (file.st_ino, file.st_mtime_ns, file.st_size))


@lru_cache(maxsize=1)
def _benchmarks(results: Path, file: tuple[int, ...]) -> Benchmarks:
    """Read once by all reports of one command; `file` sets what was written anew apart."""
    content = read_benchmarks(results)
    return Benchmarks(content=content, times=times_table(passes_frame(content)))


def read_benchmarks(results: Path) -> dict[str, Any]:
    """What `bench.speed.running` wrote, as `checked`. Raises `SpeedError` where it cannot be read."""
    path = results / "speed" / "benchmarks.json"
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise SpeedError(f"{path}: no such file; run the benchmarks first: python -m bench speed") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SpeedError(f"{path}: cannot be read ({error}); delete it and run: python -m bench speed") from None
    return checked(content, where=str(path))


def passes_frame(content: dict[str, Any]) -> pd.DataFrame:
    """One row a workload and pass: the workload's fields and `milliseconds`, the median over the pass's rounds."""
    rows = []
    for benchmark in content["benchmarks"]:
        told = benchmark["extra_info"]
        rows.append(
            {
                "precision": "float32",  # before it was told
                "implementation": "",  # the same
                **told,
                "step": "training" if told["training"] else "inference",
                "update_ratio": told["updates"] / told["length"],
                "milliseconds": 1e3 * benchmark["stats"]["median"],
                "rounds": len(benchmark["stats"]["data"]),
            }
        )
    return pd.DataFrame(rows)


def times_table(passes: pd.DataFrame) -> pd.DataFrame:
    """One row a workload, medians over passes.

    Ratios are taken within a pass, and then their median: what slows a whole pass down leaves them alone.

    Columns, after those of the workload and `update_ratio`:
        implementation: what an engine ran; empty of a baseline, and where the file does not tell it.
        milliseconds, milliseconds_lowest, milliseconds_highest: of the passes.
        native: the native layer it is compared with; where there are several, that with the lower time.
        native_ratio: to that layer.
        products_ratio: to the matrix products of a cell that updates at every step.
        own_ratio: of an engine, to itself at 100 % updates.
        compile_seconds: the first step of its shape.
        passes, rounds: how many there were, and rounds in all.
    """
    series = {key: rows.set_index("pass_number")["milliseconds"] for key, rows in passes.groupby(list(WORKLOAD))}
    table: list[dict[str, Any]] = []
    for _, group in passes.groupby(list(WORKLOAD), sort=False):
        first = rows_of(group)[0]
        own = series[_key(first)]
        plain = first["cell"].removeprefix("skip_")
        baselines = {
            name: series[key]
            for name in BASELINES[first["framework"]]
            if (key := _key(first, subject=name, cell=plain, updates_every=1)) in series
        }
        natives = {name: times for name, times in baselines.items() if name in NATIVE}
        native = min(natives, key=lambda name: float(natives[name].median())) if natives else None
        table.append(
            {
                **{name: first[name] for name in (*WORKLOAD, "update_ratio", "implementation")},
                "milliseconds": own.median(),
                "milliseconds_lowest": own.min(),
                "milliseconds_highest": own.max(),
                "native": "" if native is None else subject_name(first["framework"], native, plain),
                "native_ratio": _ratio(own, None if native is None else natives[native]),
                "products_ratio": _ratio(own, baselines.get(PRODUCTS)),
                "own_ratio": _ratio(own, series.get(_key(first, updates_every=1))),
                "compile_seconds": first["first_seconds"],
                "passes": len(own),
                "rounds": int(group["rounds"].sum()),
            }
        )
    table.sort(key=_place)
    return pd.DataFrame(table)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Training before inference, large batches before small ones; then by precision and kind, its baselines first."""
    cell = row["cell"]
    subjects = (*NATIVE, PRODUCTS, *ENGINES)
    return (
        row["step"] != "training",
        row["framework"],
        -row["batch_size"],
        row["length"],
        row["units"],
        PRECISIONS.index(row["precision"]),
        cells().index(cell.removeprefix("skip_")),
        cells().index(cell),
        subjects.index(row["subject"]),
        row["updates_every"],
    )


def _key(row: dict[str, Any], **others: Any) -> tuple[Any, ...]:
    return tuple((row | others)[name] for name in WORKLOAD)


def _ratio(times: pd.Series[float], others: pd.Series[float] | None) -> float:
    return float("nan") if others is None else float((times / others).median())


def glance(table: pd.DataFrame) -> pd.DataFrame:
    """What skipping saves, as text: one row a skip cell and engine, from `times_table`."""
    rows = []
    keys = ["step", "framework", "batch_size", "length", "input_size", "units", "precision", "cell", "subject"]
    for _, group in table[table["cell"].isin(skip_cells())].groupby(keys, sort=False):
        by_ratio = {row["updates_every"]: row for row in rows_of(group)}
        if 1 not in by_ratio:
            continue
        every = by_ratio[1]
        row = {
            "step": every["step"],
            "framework": framework_name(every["framework"]),
            "cell": cell_name(every["cell"]),
            "length": str(every["length"]),
            "batch_size": str(every["batch_size"]),
            **_told_where_it_varies(table, every),
            "engine": engine_name(every["subject"], group["implementation"]),
            "milliseconds at 100 %": number(every["milliseconds"], digits=3),
            "× native": number(every["native_ratio"], digits=3),
            "native": every["native"] or NONE,
            "× products": number(every["products_ratio"], digits=3),
        }
        for n in sorted(set(table["updates_every"]) - {1}):
            ratio = by_ratio[n]["own_ratio"] if n in by_ratio else None
            row[f"1 update in {n}, × own 100 %"] = number(ratio, digits=3)
        rows.append(row | {"compile_seconds": number(every["compile_seconds"], digits=2)})
    return pd.DataFrame(rows)


def readable_times(table: pd.DataFrame) -> pd.DataFrame:
    """Every workload as text."""
    rows = [
        {
            "step": row["step"],
            "framework": framework_name(row["framework"]),
            "batch_size": str(row["batch_size"]),
            "length": str(row["length"]),
            **_told_where_it_varies(table, row),
            "cell": cell_name(row["cell"]),
            "what": engine_name(subject_name(row["framework"], row["subject"], row["cell"]), [row["implementation"]]),
            "update_ratio": number(100 * row["update_ratio"], digits=3),
            "milliseconds": number(row["milliseconds"], digits=3),
            "of passes": f"{number(row['milliseconds_lowest'], digits=3)} to "
            f"{number(row['milliseconds_highest'], digits=3)}",
            "× native": number(row["native_ratio"], digits=3),
            "× products": number(row["products_ratio"], digits=3),
            "× own 100 %": number(row["own_ratio"], digits=3),
            "compile_seconds": number(row["compile_seconds"], digits=2),
        }
        for row in rows_of(table)
    ]
    return pd.DataFrame(rows)


def _told_where_it_varies(table: pd.DataFrame, row: dict[str, Any]) -> dict[str, str]:
    """A row's units and precision as text, where the table has several."""
    return {name: str(row[name]) for name in ("units", "precision") if table[name].nunique() > 1}


def subject_name(framework: str, subject: str, cell: str) -> str:
    """A subject for people: an engine's name, a layer's full name, or the products."""
    if subject in NATIVE:
        name = f"{NATIVE_LAYERS[framework]}.{cell.removeprefix('skip_').upper()}"
        return f"{name}, jit" if subject == "native_jit" else name
    return "products alone" if subject == PRODUCTS else subject
