"""The speed report: a page of its own, and what of it stands in the report of any sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.figures.style import Picture, house_style, save
from bench.report.folder import replacing
from bench.report.html.rendering import PageTable, Section, render
from bench.report.names import head
from bench.report.speed.figures import time_against_update_ratio
from bench.report.speed.implementations import as_told, every_step_on_a_gpu
from bench.report.speed.times import (
    Benchmarks,
    glance,
    passes_frame,
    read_benchmarks,
    readable_times,
    times_table,
    unknown_workloads,
)
from bench.report.tables.formats import to_latex, to_markdown

HOW = (
    "Median milliseconds of one step, from NumPy arrays to numbers. All workloads of a framework are measured in "
    "passes, engines beside their baselines; ratios are taken within a pass, and what stands here is their median. "
    "The update ratio is set through the gate's parameters, so that all sequences update at the same steps."
)
WORDS = (
    "× native: to the framework's own layer (the better of jit on and off) with the same readout, loss, clipping and "
    "Adam. × products: to the matrix products alone of a cell that updates at every step, the floor at 100 %. "
    "× own 100 %: to the same engine with an update at every step. Compile seconds: the first step of a shape."
)


def write_speed(*, results: Path, reports: Path, command: str) -> Path:
    """See `bench.report.write_speed_report`."""
    content = read_benchmarks(results)
    table = times_table(passes_frame(content))
    with replacing(reports / "speed") as folder:
        write_speed_tables(folder, table)
        with house_style():
            parts = speed_sections(content, table, command=command)
            for part in parts:
                for picture in part.pictures:
                    save(picture, folder=folder / "figures")
        page = render(
            title="Skip RNN benchmark: speed",
            description="Training and inference steps of the cells, by engine and update ratio, against baselines.",
            sections=parts,
            figures=folder / "figures",
        )
        (folder / "index.html").write_text(page, encoding="utf-8")
    return reports / "speed" / "index.html"


def speed_sections(content: dict[str, Any], table: pd.DataFrame, *, command: str = "") -> list[Section]:
    """What the page says of the benchmarks; draws the figures."""
    return [
        _by_engine(content, table, pictures=time_against_update_ratio(table)),
        Section(
            title="Speed: all times",
            tables=[PageTable(caption="Every workload, baselines included", text=readable_times(table), note=WORDS)],
            links=[("speed.csv (full precision)", "speed.csv"), ("speed.md", "speed.md"), ("speed.tex", "speed.tex")],
            folded=True,
        ),
        Section(title="Speed: what was measured", facts=_facts(content, table, command=command)),
    ]


def benchmark_sections(benchmarks: Benchmarks | None, *, problem: str = "") -> list[Section]:
    """What the benchmarks measured beside a sweep, by engine; no sections where they were not run.

    Figures and every workload stand on the page of their own, which does not repeat itself in each sweep's. What is
    wrong with their file, `problem`, is told in their place.
    """
    if benchmarks is None:
        return [Section(title="Speed", prose=[f"Left out: {problem}"])] if problem else []
    elsewhere = (
        "Figures and every workload are in the speed report, reports/speed/index.html unless it was put elsewhere."
    )
    return [
        replace(
            _by_engine(benchmarks.content, benchmarks.times, pictures=[]),
            prose=[HOW, elsewhere],
            links=[("speed.csv (every workload)", "speed.csv"), ("speed.md", "speed.md"), ("speed.tex", "speed.tex")],
        ),
        Section(title="Speed: what was measured", facts=_facts(benchmarks.content, benchmarks.times, command="")),
    ]


def _by_engine(content: dict[str, Any], table: pd.DataFrame, *, pictures: list[Picture]) -> Section:
    return Section(
        title="Speed",
        prose=[HOW],
        points=[*every_step_on_a_gpu(content), *_holes(content)],
        tables=[PageTable(caption="What skipping saves, by engine", text=glance(table), note=WORDS)],
        pictures=pictures,
    )


def write_speed_tables(folder: Path, table: pd.DataFrame) -> None:
    """Writes `speed.csv`, all numbers, and `speed.md` and `speed.tex`, the table by engine."""
    as_told(table).to_csv(folder / "speed.csv", index=False)
    text = glance(table)
    (folder / "speed.md").write_text(to_markdown(text.rename(columns=head)), encoding="utf-8")
    latex = to_latex(text.rename(columns=head), caption="What skipping saves: medians over passes.", label="tab:speed")
    (folder / "speed.tex").write_text(latex, encoding="utf-8")


def _holes(content: dict[str, Any]) -> list[str]:
    points = [f"{framework} was left out: {why}." for framework, why in content["left_out"].items()]
    points += unknown_workloads(content)
    if content["failed"]:
        count = len(content["failed"])
        words = "benchmark failed and is missing" if count == 1 else "benchmarks failed and are missing"
        points.append(f"{count} {words}: {', '.join(content['failed'])}.")
    reasons: dict[str, list[str]] = {}
    for name, why in content.get("cut", {}).items():
        reasons.setdefault(why, []).append(name)
    points += [f"Not measured, {why}: {', '.join(names)}." for why, names in reasons.items()]
    return points


def _facts(content: dict[str, Any], table: pd.DataFrame, *, command: str) -> list[tuple[str, str]]:
    machine, told = content["machine_info"], content["benchmarks"][0]["extra_info"]
    facts = [("command", command)] if command else []
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [
        *facts,
        ("measured", f"{content['datetime'][:16].replace('T', ' ')} UTC"),
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("memory", f"{machine['memory_bytes'] / 2**30:.0f} GiB"),
        ("system", machine["system"]),
        ("device", told["device"]),
        *_card(machine),
        ("threads", str(told["threads"] or "the framework's default")),
        ("Python", machine["python"]),
        ("packages", packages),
        ("sizes", f"{_several(table, 'units')} units, {_several(table, 'precision')}, {content['scale']} scale"),
        ("passes", f"{table['passes'].max()}, with {table['rounds'].min()} to {table['rounds'].max()} rounds in all"),
    ]


def _several(table: pd.DataFrame, name: str) -> str:
    return ", ".join(map(str, sorted(table[name].unique())))


def _card(machine: dict[str, Any]) -> list[tuple[str, str]]:
    """The graphics card, its driver and the libraries that frameworks were built with, where one computed."""
    if "gpu" not in machine:
        return []
    libraries = "; ".join(f"{name}: {told}" for name, told in machine.get("libraries", {}).items())
    card, memory, capability, driver = (
        machine.get(name) or "not told" for name in ("gpu", "gpu_memory", "gpu_capability", "gpu_driver")
    )
    return [
        ("graphics card", f"{card}, {memory}, compute capability {capability}"),
        ("driver", driver),
        ("libraries", libraries),
    ]
