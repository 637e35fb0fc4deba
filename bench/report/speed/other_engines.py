"""The frameworks' times by engine, and of their own native layers, from the benchmarks of the cells."""

from __future__ import annotations

import pandas as pd

from bench.report.frames import rows_of
from bench.report.names import cell_name, listed
from bench.report.numbers import NONE, number
from bench.report.speed.implementations import engine_name
from bench.report.speed.times import NATIVE
from impls.contract import ENGINES

NATIVE_LAYERS = "native layers"
WORKLOAD = ("step", "batch_size", "length", "input_size", "units", "precision", "cell", "updates_every")


def framework_ratios(times: pd.DataFrame) -> pd.DataFrame:
    """Times of the second framework / the first, as text: one row a workload, a column an engine, and native layers.

    An engine's column names what it ran in either, such as `fast (rounds / kernels)`.

    Args:
        times: as `times_table` makes them.

    A native layer is a plain cell's; of two forms of one layer the faster counts. Empty for one framework alone.
    """
    frameworks = sorted(times["framework"].unique())
    if len(frameworks) < 2:
        return pd.DataFrame()
    left, right = frameworks[:2]
    rows = []
    for key, group in times.groupby(list(WORKLOAD), sort=False):
        named = dict(zip(WORKLOAD, key, strict=True))
        ratios = {name: _ratio(group, (name,), left=left, right=right) for name in ENGINES}
        ratios[NATIVE_LAYERS] = _ratio(group, NATIVE, left=left, right=right)
        if any(ratio is not None for ratio in ratios.values()):
            every = named["updates_every"]
            rows.append(
                {
                    "step": named["step"],
                    "cell": cell_name(str(named["cell"])),
                    "updates made": "every step" if every == 1 else f"1 in {every}",
                    "length": str(named["length"]),
                    "batch": str(named["batch_size"]),
                    **{name: str(named[name]) for name in ("units", "precision") if times[name].nunique() > 1},
                    **{name: number(ratio, digits=3) for name, ratio in ratios.items()},
                }
            )
    heads = {engine: _head(times, engine, left=left, right=right) for engine in ENGINES}
    return pd.DataFrame(rows).rename(columns=heads)


def _head(times: pd.DataFrame, engine: str, *, left: str, right: str) -> str:
    ran = [
        [name for name in dict.fromkeys(rows["implementation"]) if name]
        for rows in (times[(times["framework"] == name) & (times["subject"] == engine)] for name in (right, left))
    ]
    if not any(set(names) - {engine} for names in ran):
        return engine
    return engine_name(engine, [" / ".join(dict.fromkeys(listed(names) if names else NONE for names in ran))])


def _ratio(times: pd.DataFrame, subjects: tuple[str, ...], *, left: str, right: str) -> float | None:
    wanted = rows_of(times[times["subject"].isin(subjects)])
    fastest = {
        name: min((row["milliseconds"] for row in wanted if row["framework"] == name), default=None)
        for name in (left, right)
    }
    one, other = fastest[left], fastest[right]
    return None if one is None or other is None else float(other / one)
