"""Claims about times: what is judged are seeds whose trials ran under like conditions."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.report.paper.claims.findings import Finding
from tests.bench.report.claimed import as_published, verdict


def time_findings(frame: pd.DataFrame) -> tuple[str, list[Finding]]:
    """The verdict on time, and the findings that have trials: four seeds of two rows in two frameworks."""
    found = verdict("time-follows-updates", frame)
    return found.verdict, [finding for finding in found.findings if finding.evidence]


def test_a_seed_counts_whichever_machine_both_of_its_trials_ran_on():
    """What is tested is a ratio of two times of one seed: two machines make no two settings."""
    frame = as_published("table1")
    kernels = ["Linux 6.1" if seed < 2 else "Linux 6.2" for seed in frame["seed"]]
    expected, findings = time_findings(frame.assign(**{"environment.system": kernels}))
    assert expected == "reproduced"
    assert {(finding.setting, finding.reason, finding.evidence.n) for finding in findings if finding.evidence} == {
        ("", "", 4)
    }


def test_a_time_of_another_machine_than_the_plain_cell_s_is_no_evidence():
    """Of seeds 2 and 3, of which one differs in its load too; two seeds are too few."""
    frame = as_published("table1")
    skips = frame["p_skip"] > 0
    other = skips & (frame["seed"] >= 2)
    frame = frame.assign(
        **{"environment.processor": other.map({True: "slow", False: "fast"})},
        beside=1.0 + (skips & (frame["seed"] == 3)),
    )
    expected, findings = time_findings(frame)
    assert expected == "inconclusive"
    assert {finding.reason for finding in findings} == {
        "2 seeds, 3 needed; 1 of 4 seeds left out: their sides ran with other processors (slow and fast); "
        "1 of 4 seeds left out: their sides ran with other processors (slow and fast), load"
    }
    assert verdict("adding-half", frame).verdict == "reproduced"


def test_a_failed_seed_has_no_time_and_is_no_machine_of_its_own():
    """A record of a trial that failed need not tell what it ran on."""
    frame = as_published("table1")
    failed = (frame["seed"] == 3).to_numpy()
    frame = frame.assign(status=frame["status"].mask(failed, "failed"))
    for column in [name for name in frame if name.startswith("environment.")]:
        frame[column] = frame[column].astype(object).mask(failed, None)
    expected, findings = time_findings(frame)
    assert expected == "reproduced"
    assert {(finding.setting, finding.reason) for finding in findings} == {("", "1 of 4 seeds have no number")}


@pytest.mark.parametrize(("column", "skipping", "plain"), [("beside", 3.0, 1.0), ("processor_load", 9.0, 2.0)])
def test_a_time_beside_other_load_than_the_plain_cell_s_is_no_evidence(column: str, skipping: float, plain: float):
    """Of seeds 2 and 3; the others ran beside like load, and two seeds are too few."""
    frame = as_published("table1")
    other = (frame["seed"] >= 2) & (frame["p_skip"] > 0)
    expected, findings = time_findings(frame.assign(**{column: other.map({True: skipping, False: plain})}))
    assert expected == "inconclusive"
    assert {finding.evidence.n for finding in findings if finding.evidence} == {2}
    assert {finding.reason for finding in findings} == {
        "2 seeds, 3 needed; 2 of 4 seeds left out: their sides ran with other load"
    }
