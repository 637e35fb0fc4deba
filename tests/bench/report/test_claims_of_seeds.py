"""Why fewer seeds count for a claim than were asked for: not in both rows, or without a number."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.report.paper.claims.findings import Finding
from tests.bench.report.claimed import as_published, in_row, verdict

SKIP, PLAIN = "skip_lstm budget_cost=1e-5", "skip_lstm"


def shifted(seeds: int) -> pd.DataFrame:
    """Table 1's rows with seeds 0 to 3, but for one: its seeds begin that many later."""
    frame = as_published("table1").copy()
    frame.loc[in_row(frame, 1, PLAIN), "seed"] += seeds
    return frame


def finding(frame: pd.DataFrame) -> Finding:
    (found, *_) = [one for one in verdict("adding-half", frame).findings if one.rows == (SKIP, PLAIN)]
    return found


def test_seeds_that_one_row_has_alone_are_said_to_be_not_in_both() -> None:
    assert finding(shifted(2)).reason == "2 seeds, 4 needed; 4 of 6 seeds not in both rows"


def test_a_seed_that_both_have_and_one_without_a_number_is_told_apart_from_them() -> None:
    frame = shifted(1)
    frame.loc[in_row(frame, 1, SKIP) & (frame["seed"] == 3).to_numpy(), "status"] = "failed"
    expected = "2 seeds, 4 needed; 2 of 5 seeds not in both rows; 1 of 5 seeds have no number"
    assert finding(frame).reason == expected


def test_rows_without_a_common_seed_are_compared_unpaired_and_leave_none_out() -> None:
    found = finding(shifted(4))
    assert (found.reason, found.verdict) == ("", "reproduced")


@pytest.mark.parametrize(
    ("later", "told"), [(2, "4 of 6 seeds not in both rows"), (4, "8 of 8 seeds not in both rows")]
)
def test_times_are_compared_by_the_seeds_that_both_rows_have(later: int, told: str) -> None:
    frame = as_published("table1").copy()
    frame.loc[frame["p_skip"] > 0, "seed"] += later
    reasons = {one.reason for one in verdict("time-follows-updates", frame).findings if one.verdict != "not run"}
    assert reasons
    assert all(reason.endswith(told) for reason in reasons)
