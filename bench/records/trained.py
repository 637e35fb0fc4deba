"""What a trial learned: its parameters, and a layer of either framework that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import RecordError
from bench.records.files import PARAMETERS_OF, disagreement, left_out
from bench.records.record import Record
from bench.records.store import read_record
from impls.contract import DEFAULT_ENGINE, Array, CellSpec
from impls.kinds import KINDS, SKIP_PREFIX
from impls.layers import build_layer


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trial with the parameters that its reported numbers are of.

    Attributes:
        record: what came of the trial.
        parameters: all of the model, under the canonical names of `impls/parameters.py`: the cell's,
            `readout.weights` and `readout.biases`, and `embedding.weights` where the task has tokens.
    """

    record: Record
    parameters: Mapping[str, Array]

    @property
    def cell(self) -> CellSpec:
        """The cell, whose inputs have as many features as its parameters say."""
        trial = self.record.trial
        first = KINDS[trial.cell.removeprefix(SKIP_PREFIX)].matrices[0]
        weights = self.parameters[f"layers.0.{first.prefix}weights"]  # over the input and the state
        return trial.cell_spec(input_size=weights.shape[0] - trial.units[0])

    def layer(self, framework: str = "", *, engine: str = DEFAULT_ENGINE) -> Any:
        """The public layer of the cell in a framework, or in that of the trial: `impls.pytorch.SkipGRU` and the like.

        A random or periodic skip is no part of the layer: it takes its gates at each call.
        """
        framework = framework or self.record.trial.framework
        return build_layer(framework, spec=self.cell, parameters=self.parameters, engine=engine)


def read_trained(folder: Path | str) -> Trained:
    """A trial's record and its parameters, from `results/trials/<trial id>` or a folder of an archive.

    Raises `RecordError` where there is no record, where it is not to be believed, and where the parameters are not
    there, or not those that it tells of.
    """
    folder = Path(folder)
    record = read_record(folder.resolve())
    if record is None:
        raise RecordError(f"{folder}: holds no record; name a trial's folder, such as results/trials/<trial id>")
    path = folder / PARAMETERS_OF[record.reported]
    if path.name in left_out(folder):
        raise RecordError(f"{path}: an archive keeps the parameters of each row's best seed alone, and this is another")
    if not path.is_file():
        raise RecordError(f"{path}: is not there; a trial that was {record.status} may have left no parameters")
    if wrong := disagreement(path, record.files):
        raise RecordError(wrong)
    with np.load(path, allow_pickle=False) as arrays:
        return Trained(record=record, parameters=dict(arrays))


def trained_layer(folder: Path | str, framework: str = "", *, engine: str = DEFAULT_ENGINE) -> Any:
    """A trial's layer with the parameters that its reported numbers are of, in a framework or in its own.

    Raises `RecordError` as `read_trained` does.
    """
    return read_trained(folder).layer(framework, engine=engine)
