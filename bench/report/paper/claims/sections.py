"""The claims on the page and in files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report.html.rendering import Section
from bench.report.html.tables import PageTable
from bench.report.paper.claims.findings import NOT_RUN
from bench.report.paper.claims.tables import counted, findings_table, numbers_table, stated_table
from bench.report.paper.claims.verdicts import Verdict
from bench.report.tables.formats import to_latex, to_markdown

HOW = (
    "A claim is reproduced where every case of it is shown in every framework of the sweep, not reproduced where the "
    "opposite of one is, and else inconclusive: too few seeds, or a test that does not decide. Statistics, margins and "
    "rows were settled before any run was looked at (bench/report/paper/claims.toml)."
)
SHRUNK = "Under a shrunk protocol a claim can show its direction; that it meets a published value it cannot."


def claim_sections(verdicts: Sequence[Verdict]) -> list[Section]:
    """The verdicts, and folded away the numbers behind them."""
    run = [verdict for verdict in verdicts if verdict.verdict != NOT_RUN]
    absent = [verdict.claim.id for verdict in verdicts if verdict.verdict == NOT_RUN]
    if not run:
        return [Section(title="Claims", prose=["No claim has its rows among the records of this sweep."])]
    prose = [f"{counted(verdicts)}. {HOW}"]
    if any(verdict.departed for verdict in run):
        prose.append(SHRUNK)
    if absent:
        prose.append(f"Not run here: {', '.join(absent)}.")
    return [
        Section(
            title="Claims",
            prose=prose,
            tables=[PageTable(caption="Claims of the paper and of this project", text=stated_table(run))],
            links=[("claims.csv (every finding, full precision)", "claims.csv"), ("claims.md", "claims.md"),
                   ("claims.tex", "claims.tex")],
        ),
        Section(
            title="Claims in numbers",
            prose=[
                "One row a case, framework and setting. p is the probability of data like these if the claim were "
                "false, then if its opposite were; intervals have 95 %."
            ],
            tables=[PageTable(caption="What the verdicts rest on", text=numbers_table(run))],
            folded=True,
        ),
    ]  # fmt: skip


def write_claims(folder: Path, verdicts: Sequence[Verdict], *, sweep: str) -> None:
    """Writes `claims.csv` (every finding), `claims.md` and `claims.tex` (every verdict)."""
    findings_table(verdicts).to_csv(folder / "claims.csv", index=False)
    table = stated_table(verdicts)
    (folder / "claims.md").write_text(to_markdown(table), encoding="utf-8")
    latex = to_latex(table, caption=f"Sweep {sweep}: {counted(verdicts)}.", label=f"tab:{sweep}-claims")
    (folder / "claims.tex").write_text(latex, encoding="utf-8")
