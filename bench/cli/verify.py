"""`verify`: checks everything in a results folder."""

from __future__ import annotations

import typer

from bench.cli.options import RESULTS, ResultsOption


def verify(results: ResultsOption = RESULTS) -> None:
    """Check every record, file, lease and list; the exit code is 1 where anything is off."""
    from bench.records.store import Store
    from bench.records.upkeep.verify import findings

    found = findings(results)
    for finding in found:
        print(finding)
    count = len(Store(results).trial_ids())
    print(f"{results}: {count} trial{'' if count == 1 else 's'}, {len(found) or 'nothing'} off")
    raise typer.Exit(1 if found else 0)
