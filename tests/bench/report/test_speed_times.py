"""The speed report from hand-made benchmarks: medians over passes, ratios within a pass, holes, the page."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from bench.cli.publishing import files_left_out
from bench.errors import SpeedError
from bench.plan.sweep import Sweep
from bench.records.store import Store
from bench.report import print_speed, write_report, write_speed_report
from bench.report.speed.figures import time_against_update_ratio
from bench.report.speed.times import glance, passes_frame, read_benchmarks, readable_times, times_table
from tests.bench.report.stored import SWEEP, list_sweep, ok_record, trial, write_run

# Milliseconds of (subject, cell, one update in n), a number a pass: the second pass is slowed down threefold.
TIMES: dict[tuple[str, str, int], tuple[float, ...]] = {
    ("native", "lstm", 1): (40.0, 120.0, 44.0),
    ("native_jit", "lstm", 1): (50.0, 90.0, 52.0),
    ("products", "lstm", 1): (10.0, 30.0, 11.0),
    ("fast", "skip_lstm", 1): (20.0, 60.0, 33.0),
    ("fast", "skip_lstm", 2): (10.0, 36.0, 15.0),
    ("fast", "skip_lstm", 10): (4.0, 12.0, 9.9),
}


def benchmark(subject: str, cell: str, n: int, *, pass_number: int, milliseconds: float) -> dict[str, Any]:
    # The outer rounds would pull a mean away from the median.
    data = [milliseconds / 1e3, milliseconds / 1e3, 9.0]
    return {
        "extra_info": {
            "framework": "tensorflow",
            "subject": subject,
            "cell": cell,
            "input_size": 2,
            "units": 110,
            "length": 50,
            "batch_size": 256,
            "updates_every": n,
            "updates": 50 // n,
            "training": True,
            "device": "cpu",
            "threads": 2,
            "pass_number": pass_number,
            "first_seconds": 3.5,
        },
        "stats": {"median": milliseconds / 1e3, "data": data},
    }


def benchmarks(results: Path, *, failed: tuple[str, ...] = ()) -> Path:
    """Writes the file as a run leaves it."""
    content = {
        "machine_info": {
            "processor": "a processor",
            "cores": 2,
            "memory_bytes": 2**33,
            "system": "Linux",
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0"},
            "threads": 2,
        },
        "datetime": "2026-01-02T03:04:05+00:00",
        "benchmarks": [
            benchmark(*workload, pass_number=number, milliseconds=times[number])
            for number in range(3)
            for workload, times in TIMES.items()
        ],
        "failed": list(failed),
        "scale": "quick",
        "left_out": {"pytorch": "the package 'torch' is not installed"},
    }
    path = results / "speed" / "benchmarks.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    benchmarks(tmp_path)
    return times_table(passes_frame(read_benchmarks(tmp_path)))


def row(table: pd.DataFrame, subject: str, n: int = 1) -> pd.Series[Any]:
    found = table[(table["subject"] == subject) & (table["updates_every"] == n)]
    assert len(found) == 1
    return found.iloc[0]


def test_times_are_medians_over_passes(table: pd.DataFrame) -> None:
    fast = row(table, "fast")
    assert fast["milliseconds"] == pytest.approx(33.0)
    assert (fast["milliseconds_lowest"], fast["milliseconds_highest"]) == pytest.approx((20.0, 60.0))
    assert (fast["passes"], fast["rounds"]) == (3, 9)
    assert fast["update_ratio"] == 1.0
    assert row(table, "fast", 10)["update_ratio"] == pytest.approx(0.1)
    assert fast["compile_seconds"] == 3.5


def test_ratios_are_taken_within_a_pass_before_their_median(table: pd.DataFrame) -> None:
    # Passes: 20/40, 60/120, 33/44; of the medians it would be 33/44 = 0.75.
    assert row(table, "fast")["native_ratio"] == pytest.approx(0.5)
    assert row(table, "fast")["products_ratio"] == pytest.approx(2.0)  # 2, 2, 3
    assert row(table, "fast", 2)["own_ratio"] == pytest.approx(0.5)  # 0.5, 0.6, 0.4545
    assert row(table, "fast", 10)["own_ratio"] == pytest.approx(0.2)  # 0.2, 0.2, 0.3
    assert row(table, "fast")["own_ratio"] == 1.0


def test_rows_stand_in_the_same_order_however_the_workloads_were_measured(tmp_path: Path) -> None:
    benchmarks(tmp_path)
    passes = passes_frame(read_benchmarks(tmp_path))
    passes = pd.concat([passes, passes[passes["subject"] == "fast"].assign(subject="reference")])
    table = times_table(passes)
    assert list(dict.fromkeys(table["subject"])) == ["native", "native_jit", "products", "reference", "fast"]
    assert list(table["updates_every"]) == [1, 1, 1, 1, 2, 10, 1, 2, 10]
    pd.testing.assert_frame_equal(times_table(passes[::-1]), table)


def test_a_workload_of_one_pass_is_compared_within_that_pass(tmp_path: Path) -> None:
    benchmarks(tmp_path)
    passes = passes_frame(read_benchmarks(tmp_path))
    table = times_table(passes[(passes["subject"] != "fast") | (passes["pass_number"] == 1)])
    assert row(table, "fast")["native_ratio"] == pytest.approx(60 / 120)
    assert row(table, "fast")["passes"] == 1


def test_the_native_layer_is_that_with_the_lower_median(table: pd.DataFrame) -> None:
    # 44 without jit against 52 with it, though jit was faster in the second pass.
    assert set(table["native"]) == {"keras.layers.LSTM"}
    assert row(table, "native_jit")["native_ratio"] == pytest.approx(52 / 44)


def test_without_baselines_there_are_no_ratios_to_them(tmp_path: Path) -> None:
    benchmarks(tmp_path)
    passes = passes_frame(read_benchmarks(tmp_path))
    alone = times_table(passes[passes["subject"] == "fast"])
    assert alone["native_ratio"].isna().all()
    assert alone["products_ratio"].isna().all()
    assert glance(alone)["× native"].tolist() == ["–"]


def test_the_glance_has_a_row_for_each_engine_and_skip_cell(table: pd.DataFrame) -> None:
    text = glance(table)
    assert text.to_dict("records") == [
        {
            "step": "training",
            "framework": "TensorFlow",
            "cell": "Skip LSTM",
            "length": "50",
            "batch_size": "256",
            "engine": "fast",
            "milliseconds at 100 %": "33",
            "× native": "0.500",
            "native": "keras.layers.LSTM",
            "× products": "2",
            "1 update in 2, × own 100 %": "0.500",
            "1 update in 10, × own 100 %": "0.200",
            "compile_seconds": "3.5",
        }
    ]
    assert len(readable_times(table)) == len(TIMES)


def tell_implementations(path: Path, ran: dict[str, str], **told: str) -> None:
    """Adds what each subject ran, and what else is told, to every benchmark."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["benchmarks"]:
        subject = entry["extra_info"]["subject"]
        entry["extra_info"] |= {"implementation": ran.get(subject, ""), **told}
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("told", [True, False])
def test_what_an_engine_ran_is_named_wherever_its_times_are(tmp_path: Path, told: bool) -> None:
    """And nothing is said of it where the file does not tell it, as those of older versions."""
    path = benchmarks(tmp_path / "results")
    if told:
        tell_implementations(path, {"fast": "rounds"})
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports")
    name = "fast (rounds)" if told else "fast"
    html = page.read_text(encoding="utf-8")
    assert html.count(f'<td class="word">{name}</td>') == 1 + 3, "by engine, and all times"
    assert html.count("fast (") == (4 if told else 0)
    assert f"| {name} |" in (page.parent / "speed.md").read_text(encoding="utf-8")
    assert f" {name} &" in (page.parent / "speed.tex").read_text(encoding="utf-8")
    numbers = pd.read_csv(page.parent / "speed.csv", keep_default_na=False)
    if told:
        assert dict(zip(numbers["subject"], numbers["implementation"], strict=True)) == {
            "native": "", "native_jit": "", "products": "", "fast": "rounds",
        }  # fmt: skip
    else:
        assert "implementation" not in numbers
    (picture,) = time_against_update_ratio(times_table(passes_frame(read_benchmarks(tmp_path / "results"))))
    assert picture.figure.legends[0].get_texts()[0].get_text() == name
    assert ("implementation" in picture.data) == told


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(
    ("framework", "device", "implementation", "said"),
    [
        ("pytorch", "cuda", "operations", True),
        ("pytorch", "cuda", "tiles", False),
        ("pytorch", "cuda", "", False),
        ("pytorch", "cpu", "operations", False),  # no tiles there
        ("tensorflow", "cuda", "rounds", False),
    ],
)
def test_an_engine_that_computes_every_step_on_a_gpu_is_said_to(
    framework: str, device: str, implementation: str, said: bool, tmp_path: Path
) -> None:
    path = benchmarks(tmp_path)
    if framework == "pytorch":
        content = json.loads(path.read_text(encoding="utf-8"))
        kept = [entry for entry in content["benchmarks"] if entry["extra_info"]["subject"] != "native_jit"]
        path.write_text(json.dumps(content | {"benchmarks": kept}), encoding="utf-8")
    tell_implementations(path, {"fast": implementation, "native": "native"}, framework=framework, device=device)
    console = Console(file=io.StringIO(), width=200)
    print_speed(results=tmp_path, console=console)
    html = write_speed_report(results=tmp_path, reports=tmp_path).read_text(encoding="utf-8")
    words = (
        "fast ran on cuda as operations, not as tiles: it computes every step, so its time does not follow updates. "
        "Tiles need Triton, and a card of compute capability 8.0 or newer."
    )
    last = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    assert (last == f"PyTorch's {words}", words in html) == (said, said)
    assert ("ran on cuda" in html) == said


def test_a_panel_shows_the_times_of_its_skip_cell_on_a_logarithmic_axis(table: pd.DataFrame) -> None:
    engine = row(table, "fast")
    (picture,) = [one for one in time_against_update_ratio(table) if engine["step"] in one.title][:1]
    axes = picture.figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    shown = {(x, y) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    assert (engine["update_ratio"], engine["milliseconds"]) in shown
    assert (engine["update_ratio"], engine["milliseconds_highest"]) in shown


def test_the_page_is_written_and_tells_what_is_missing(tmp_path: Path) -> None:
    benchmarks(tmp_path / "results", failed=("pass0-tensorflow-fast-skip_gru-T50-B256",))
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports", command="make speed")
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "reports" / "speed" / "index.html"
    assert "make speed" in html
    assert "pytorch was left out: the package &#39;torch&#39; is not installed" in html
    assert "1 benchmark failed and is missing: pass0-tensorflow-fast-skip_gru-T50-B256" in html
    assert html.count("data:image/svg+xml") == 1
    assert {path.name for path in page.parent.iterdir()} == {
        "index.html", "figures", "speed.csv", "speed.md", "speed.tex",
    }  # fmt: skip
    assert pd.read_csv(page.parent / "speed.csv")["milliseconds"].max() == pytest.approx(52.0)


MADE = trial("digits", "lstm", "pytorch")


def one_record(results: Path) -> None:
    """A sweep of one trial."""
    write_run(Store(results), ok_record(MADE, quality=0.8))
    list_sweep(results, [MADE])


@pytest.mark.usefixtures("unsaved")
def test_the_report_of_a_sweep_has_the_speed_sections_where_there_are_benchmarks(tmp_path: Path) -> None:
    one_record(tmp_path / "results")
    benchmarks(tmp_path / "results")
    page = write_report(SWEEP, results=tmp_path / "results", reports=tmp_path / "reports")
    html = page.read_text(encoding="utf-8")
    assert 'id="speed"' in html
    assert "keras.layers.LSTM" in html
    assert (page.parent / "speed.csv").is_file()
    assert not list((page.parent / "figures").glob("speed-*")), "they stand on the benchmarks' own page"


@pytest.mark.parametrize("text", [None, "{", "[]", '{"benchmarks": []}'])
def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "speed").mkdir()
        (tmp_path / "speed" / "benchmarks.json").write_text(text)
    with pytest.raises(SpeedError, match=r"benchmarks\.json: .*python -m bench speed"):
        read_benchmarks(tmp_path)


def change(path: Path, **changes: Any) -> None:
    """Changes what the first benchmark, or else the file, tells."""
    content = json.loads(path.read_text(encoding="utf-8"))
    first = content["benchmarks"][0]
    for name, value in changes.items():
        part = next((part for part in (first["extra_info"], first["stats"], first) if name in part), content)
        part[name] = value
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmarks": None}, {"benchmarks": []}, {"extra_info": None}, {"length": 0}, {"median": 0.0},
        {"machine_info": {}}, {"failed": [1]}, {"left_out": "x"}, {"cut": []}, {"datetime": "today"},
        {"pass_number": 1}, {"median": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_tells_something_else_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    change(benchmarks(tmp_path), **changes)
    with pytest.raises(SpeedError, match=r"benchmarks\.json: .*python -m bench speed"):
        read_benchmarks(tmp_path)


def test_a_workload_is_told_once_a_pass_whatever_it_ran(tmp_path: Path) -> None:
    path = benchmarks(tmp_path)
    tell_implementations(path, {"native": "native"})
    change(path, pass_number=1, implementation="")
    with pytest.raises(SpeedError, match="tells a workload of a pass twice"):
        read_benchmarks(tmp_path)


@pytest.mark.parametrize("name", ["framework", "subject", "cell", "precision"])
def test_a_workload_of_another_version_is_left_out_and_counted(tmp_path: Path, name: str) -> None:
    path = benchmarks(tmp_path)
    told = json.loads(path.read_text(encoding="utf-8"))["benchmarks"][0]["extra_info"]
    change(path, extra_info=told | {name: "new"})
    console = Console(file=io.StringIO(), width=200)
    print_speed(results=tmp_path, console=console)
    said = f"1 time is left out, of a workload that this version does not know: {name} new."
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert said in write_speed_report(results=tmp_path, reports=tmp_path).read_text(encoding="utf-8")


@pytest.mark.usefixtures("unsaved")
def test_the_report_of_a_sweep_goes_on_without_benchmarks_that_cannot_be_read(tmp_path: Path) -> None:
    one_record(tmp_path / "results")
    change(benchmarks(tmp_path / "results"), machine_info={})
    page = write_report(SWEEP, results=tmp_path / "results", reports=tmp_path / "reports")
    html = page.read_text(encoding="utf-8")
    assert f"Left out: {tmp_path}/results/speed/benchmarks.json: the key" in html
    assert not (page.parent / "speed.csv").exists()
    sweep = Sweep(name=SWEEP, description="", trials=(MADE,))
    assert "benchmarks.json: the key" in files_left_out(sweep, results=tmp_path / "results")[-1]


def test_precisions_and_sizes_are_rows_of_their_own_and_the_card_is_named(tmp_path: Path) -> None:
    """As a GPU's file has them: each is compared with baselines of its own precision and size."""
    path = benchmarks(tmp_path / "results")
    content = json.loads(path.read_text(encoding="utf-8"))
    kinds: list[tuple[dict[str, Any], float]] = [
        ({"precision": "float32"}, 1.0),
        ({"precision": "bfloat16"}, 0.25),
        ({"precision": "float32", "units": 512}, 8.0),
    ]
    of_one = content["benchmarks"]
    content["benchmarks"] = [
        {
            "extra_info": entry["extra_info"] | told,
            "stats": {"median": factor * entry["stats"]["median"], "data": entry["stats"]["data"]},
        }
        for told, factor in kinds
        for entry in of_one
    ]
    content["machine_info"] |= {
        "gpu": "a card", "gpu_memory": "80 MiB", "gpu_capability": "9.0", "gpu_driver": "570.1",
        "libraries": {"tensorflow": "CUDA 12.9, cuDNN 9"},
    }  # fmt: skip
    content["cut"] = {"training-one": "the budget of 420 s was used", "pytorch, tf32": "an old card"}
    path.write_text(json.dumps(content), encoding="utf-8")
    text = glance(times_table(passes_frame(content)))
    assert text[["units", "precision", "milliseconds at 100 %", "× native"]].to_numpy().tolist() == [
        ["110", "float32", "33", "0.500"],
        ["110", "bfloat16", "8.25", "0.500"],
        ["512", "float32", "264", "0.500"],
    ]
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports")
    html = page.read_text(encoding="utf-8")
    for told in ("a card, 80 MiB, compute capability 9.0", "570.1", "tensorflow: CUDA 12.9, cuDNN 9"):
        assert told in html
    assert "Not measured, the budget of 420 s was used: training-one." in html
    assert "Not measured, an old card: pytorch, tf32." in html
    assert "110, 512 units, bfloat16, float32, quick scale" in html
    assert html.count("data:image/svg+xml") == 3


@pytest.mark.usefixtures("unsaved")
def test_a_file_where_the_folder_of_benchmarks_would_be_is_none(tmp_path: Path) -> None:
    one_record(tmp_path / "results")
    (tmp_path / "results" / "speed").write_text("no folder")
    assert write_report(SWEEP, results=tmp_path / "results", reports=tmp_path / "reports").is_file()
