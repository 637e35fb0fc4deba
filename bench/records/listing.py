"""Which trials a sweep is: `results/<sweep>.json`, written when the sweep is run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bench.errors import RecordError, explain
from bench.machine.disk import disk_explained, read_text, write_text
from bench.plan.sweep import NAME


class Listing(BaseModel):
    """A sweep as it was last run.

    Attributes:
        sweep: its name.
        trials: the ids of its trials, in order.
        command: the command line that ran it.
        file: the sweep's file.
        date: when it was run, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: str
    trials: tuple[str, ...]
    command: str = ""
    file: str = ""
    date: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @field_validator("sweep")
    @classmethod
    def _plain(cls, value: str) -> str:
        """A list comes from a file, and its sweep's name is a file's: it must not lead elsewhere."""
        if not NAME.fullmatch(value):
            raise ValueError("is no sweep's name")
        return value

    @field_validator("trials")
    @classmethod
    def _ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """The same of the trials' folders."""
        for trial_id in value:
            if not NAME.fullmatch(trial_id):
                raise ValueError(f"{trial_id!r} is no trial's id")
        return value


def listing_path(results: Path, sweep: str) -> Path:
    """Where a sweep's list stands. Raises `RecordError` for a name that is a path."""
    if not NAME.fullmatch(sweep):
        raise RecordError(f"{results}: {sweep!r} is no sweep's name")
    return results / f"{sweep}.json"


def write_listing(results: Path, listing: Listing) -> Path:
    """Writes a list in the place of the one before, atomically; returns its path.

    Raises `DiskError` where the disk does not take it.
    """
    path = listing_path(results, listing.sweep)
    text = listing.model_dump_json(indent=2) + "\n"
    with disk_explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def read_listing(results: Path, sweep: str) -> Listing | None:
    """The list of a sweep; None where it was never run. Raises `RecordError` for a damaged one."""
    path = listing_path(results, sweep)
    try:
        listing = Listing.model_validate_json(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from None
    except ValidationError as error:
        raise RecordError(f"{explain(error, Listing, where=str(path))}; run the sweep again to renew it") from None
    if listing.sweep != sweep:
        raise RecordError(f"{path}: is the list of sweep {listing.sweep!r}; run the sweep again to renew it")
    return listing


def listed_sweeps(results: Path) -> list[str]:
    """The names of the sweeps that were run."""
    return sorted(path.stem for path in results.glob("*.json") if NAME.fullmatch(path.stem))
