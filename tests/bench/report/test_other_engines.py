"""The frameworks' times by engine and of their native layers, from hand-made benchmarks."""

from __future__ import annotations

import pandas as pd

from bench.report.comparison.comparisons import compare_all
from bench.report.figures.style import house_style
from bench.report.frames import trials_frame
from bench.report.page.comparisons import comparison_sections
from bench.report.speed.other_engines import framework_ratios
from bench.report.speed.times import Benchmarks
from tests.bench.report.stored import ok_record, trial

SAME = {"step": "training", "batch_size": 256, "length": 50, "input_size": 2, "units": 110, "updates_every": 1,
        "precision": "float32"}  # fmt: skip


def times(**milliseconds: float) -> pd.DataFrame:
    """A row a framework and subject, named such as `pytorch_fast`."""
    named = {tuple(name.split("_", 1)): value for name, value in milliseconds.items()}
    return pd.DataFrame(
        SAME | {"cell": "lstm", "framework": framework, "subject": subject, "implementation": "", "milliseconds": value}
        for (framework, subject), value in named.items()
    )


BOTH = times(pytorch_fast=10.0, tensorflow_fast=30.0, pytorch_reference=50.0, tensorflow_reference=25.0,
             pytorch_native=8.0, tensorflow_native=40.0, tensorflow_native_jit=16.0)  # fmt: skip


def test_each_engine_and_the_native_layers_have_a_ratio_of_their_own():
    (row,) = framework_ratios(BOTH).to_dict("records")
    assert (row["fast"], row["reference"]) == ("3", "0.500")
    assert row["native layers"] == "2"  # of Keras's two forms the faster
    assert (row["cell"], row["updates made"]) == ("LSTM", "every step")


def test_what_one_framework_lacks_is_a_dash_and_one_framework_alone_is_no_table():
    (row,) = framework_ratios(times(pytorch_fast=10.0, tensorflow_fast=30.0, pytorch_native=8.0)).to_dict("records")
    assert row["native layers"] == "–"
    assert framework_ratios(times(pytorch_fast=10.0)).empty


def ran(**implementations: str) -> pd.DataFrame:
    """The same times, of engines that ran what is named, such as `pytorch_fast`."""
    named = [implementations.get(f"{row.framework}_{row.subject}", "") for row in BOTH.itertuples()]
    return BOTH.assign(implementation=named)


def test_an_engines_column_names_what_it_ran_in_either_framework():
    references = {"pytorch_reference": "reference", "tensorflow_reference": "reference"}
    told = framework_ratios(ran(pytorch_fast="tiles", tensorflow_fast="rounds", **references))
    assert list(told)[-3:] == ["reference", "fast (rounds / tiles)", "native layers"]
    mixed = pd.concat([ran(pytorch_fast="tiles"), ran(pytorch_fast="operations").assign(units=512)])
    assert "fast (– / tiles and operations)" in framework_ratios(mixed)
    alone = framework_ratios(ran(pytorch_reference="reference"))
    assert list(alone) == list(framework_ratios(BOTH)), "an engine is not named twice"


# As of a GPU on which PyTorch has no Triton.
OPERATIONS = {"framework": "pytorch", "subject": "fast", "device": "cuda", "implementation": "operations"}
GPU = {"benchmarks": [{"extra_info": OPERATIONS}]}


def test_they_stand_beside_the_comparison_where_benchmarks_were_run():
    frame = trials_frame([ok_record(trial("adding", "lstm", name), quality=0.1) for name in ("pytorch", "tensorflow")])
    with house_style():
        with_times, *_ = comparison_sections(compare_all(frame), frame, benchmarks=Benchmarks(content=GPU, times=BOTH))
        without, *_ = comparison_sections(compare_all(frame), frame)
    assert [table.caption.split(":")[0] for table in with_times.tables] == [
        "Quality and updates", "Times and memory", "The same step by engine, and by the frameworks' own layers",
    ]  # fmt: skip
    assert "it computes every step, so its time does not follow updates" in with_times.tables[-1].note
    assert len(without.tables) == 2
