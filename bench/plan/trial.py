"""One trial: a cell on a task in a framework, frozen, validated and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.errors import SweepError, explain
from bench.tasks import DEFAULT_DATA, build_task, task_class, task_options
from bench.tasks.base import Task
from bench.tasks.protocol import Count, Protocol
from impls.checks import check_native, check_precision
from impls.contract import (
    ACTIVATIONS,
    BUDGETS,
    DEFAULT_ENGINE,
    DEVICES,
    FRAMEWORKS,
    GATES,
    INITIAL_STATES,
    MODEL_ENGINES,
    NATIVE,
    PRECISIONS,
    CellSpec,
    ModelSpec,
    OptimizerSpec,
)
from impls.errors import nearest
from impls.kinds import cells, skip_cells

# Fields with a fixed set of values, which are refused with the nearest right one.
CHOICES: dict[str, tuple[str, ...]] = {
    "cell": (),  # `cells()`, asked when a trial is built: a kind may be added
    "framework": FRAMEWORKS,
    "engine": MODEL_ENGINES,
    "device": DEVICES,
    "precision": PRECISIONS,
    "budget": BUDGETS,
    "gate": GATES,
    "activation": ACTIVATIONS,
    "initial_state": INITIAL_STATES,
}
# Told in a label where they are not what they are by default.
OF_LABELS = (
    "budget", "budget_target", "activation", "forget_bias", "layer_norm", "update_bias", "initial_state", "gate",
    "gate_layer", "engine", "precision",
)  # fmt: skip


class Trial(BaseModel):
    """Everything that decides a trial's result, and what its id is of.

    Two ids may be of one result: fields enter that a trial does not read, such as those of the gate with a plain cell
    or a `budget_target` that the budget's form does not ask for, and so does the sign of a zero.

    Attributes:
        task, options: the task and its validated options.
        cell, units, activation, forget_bias, layer_norm, update_bias, initial_state, gate, gate_layer: as in
            `CellSpec`.
        framework, engine, device: who computes, how, where.
        precision: of the matrix products: `float32`, `tf32` or `bfloat16`.
        seed: of initial parameters, batches and random draws.
        budget, budget_cost, budget_target: the budget loss; `budget_cost` is λ. The `l1` and `l2` forms ask for
            `budget_target` updates a sequence.
        p_skip: probability of the random skip, for plain cells.
        period: of the periodic skip, for plain cells: the first step updates, then every `period`-th after it.
        protocol: how it is trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    options: dict[str, Any] = Field(default_factory=dict)
    cell: str
    units: tuple[Count, ...]
    framework: str
    engine: str = DEFAULT_ENGINE
    device: str = "cpu"
    precision: str = Field(default="float32", description="of the matrix products; all else is float32")
    seed: int = Field(default=0, ge=0, lt=2**32)
    budget: str = "cost_per_sample"
    budget_cost: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="λ, the cost of a used sample")
    budget_target: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    p_skip: float = Field(default=0.0, ge=0, lt=1)
    period: Count = Field(default=1, ge=1, description="the periodic-skip baseline: only every how manyth step updates")
    activation: str = "tanh"
    forget_bias: float = Field(default=1.0, allow_inf_nan=False)
    layer_norm: bool = False
    update_bias: float = Field(default=1.0, allow_inf_nan=False)
    initial_state: str = "learned"
    gate: str = "round"
    gate_layer: int = -1
    protocol: Protocol

    @field_validator(*CHOICES, mode="after")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        choices = CHOICES[info.field_name] or cells()
        if value not in choices:
            raise ValueError(f"not one of {', '.join(choices)}{nearest(value, choices)}")
        return value

    @field_validator("units", mode="before")
    @classmethod
    def _layers(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    @field_validator("units", mode="after")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("one entry a layer, each at least 1")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Trial:
        if self.p_skip > 0 and self.cell in skip_cells():
            raise ValueError(
                f"p_skip = {self.p_skip} with cell = {self.cell!r}: the random skip is a baseline of plain cells"
            )
        if self.period > 1 and self.cell in skip_cells():
            raise ValueError(
                f"period = {self.period} with cell = {self.cell!r}: the periodic skip is a baseline of plain cells"
            )
        if self.period > 1 and self.p_skip > 0:
            raise ValueError(
                f"period = {self.period} with p_skip = {self.p_skip}: skips are either periodic or random; give one"
            )
        if self.budget != "cost_per_sample" and self.budget_target == 0:
            raise ValueError(f"budget = {self.budget!r} needs a budget_target, the number of updates asked for")
        check_precision(self.precision, device=self.device)
        if self.engine == NATIVE and self.framework in FRAMEWORKS:  # a pair's has no framework
            skips = self.p_skip > 0 or self.period > 1
            check_native(self.cell_spec(input_size=1), framework=self.framework, skips_given=skips)
        if not -len(self.units) <= self.gate_layer < len(self.units):
            raise ValueError(f"gate_layer = {self.gate_layer}: the stack has layers 0 to {len(self.units) - 1}")
        return self

    @property
    def id(self) -> str:
        """16 hexadecimal digits: a hash of the validated content.

        Fields at their default are left out, so that a field added later leaves old ids as they are. The engine
        always enters, since its default may move.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        content["engine"] = self.engine
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """A few words for terminals: task, cell, framework, seed and whatever sets this trial apart."""
        parts = [self.task, *(f"{key}={_short(value)}" for key, value in self.options.items())]
        parts.append(self.cell)
        if self.p_skip:
            parts.append(f"p_skip={self.p_skip:g}")
        if self.period > 1:
            parts.append(f"period={self.period}")
        if self.budget_cost:
            parts.append(f"λ={self.budget_cost:g}")
        fields = type(self).model_fields
        others = {name: getattr(self, name) for name in OF_LABELS}
        parts += [f"{name}={_short(value)}" for name, value in others.items() if value != fields[name].default]
        return " ".join([*parts, self.framework, f"seed={self.seed}"])

    def build_task(self, *, data: Path = DEFAULT_DATA) -> Task:
        """The trial's task."""
        return build_task(self.task, self.options, data=data)

    def cell_spec(self, *, input_size: int) -> CellSpec:
        """The cell, for this many features."""
        return CellSpec(
            cell=self.cell,
            input_size=input_size,
            units=self.units,
            activation=self.activation,
            forget_bias=self.forget_bias,
            layer_norm=self.layer_norm,
            update_bias=self.update_bias,
            initial_state=self.initial_state,
            gate=self.gate,
            gate_layer=self.gate_layer,
            precision=self.precision,
        )

    def model_spec(self, task: Task) -> ModelSpec:
        """What the framework builds."""
        return ModelSpec(
            cell=self.cell_spec(input_size=task.input_size),
            output_size=task.output_size,
            loss=task.loss,
            readout=task.readout,
            budget=self.budget,
            budget_cost=self.budget_cost,
            budget_target=self.budget_target,
            vocabulary_size=task.vocabulary_size,
        )

    def optimizer_spec(self) -> OptimizerSpec:
        """Adam and clipping."""
        protocol = self.protocol
        return OptimizerSpec(
            learning_rate=protocol.learning_rate,
            beta_1=protocol.beta_1,
            beta_2=protocol.beta_2,
            epsilon=protocol.epsilon,
            clip_norm=protocol.clip_norm,
        )

    def in_one_form(self) -> Trial:
        """The same trial with its `gate_layer` counted in one way: from the bottom, but for the top, which is -1.

        For what is asked anew: a recorded trial keeps the number that its id is of.
        """
        layer = self.gate_layer % len(self.units)
        return self.model_copy(update={"gate_layer": -1 if layer == len(self.units) - 1 else layer})

    def pair_id(self) -> str:
        """The id that this trial shares with its twins in the other frameworks."""
        return self.model_copy(update={"framework": "any"}).id


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def build_trial(content: Mapping[str, Any], *, where: str) -> Trial:
    """A trial from plain data; protocol fields left out are the task's own.

    Args:
        content: field names to values; `protocol` may hold any part of one.
        where: what to name in an error, such as a file and grid.

    Raises `SweepError`: one line with the place, the key, and the nearest right name.
    """
    fields = dict(content)
    if "task" not in fields:
        raise SweepError(f"{where}: the key 'task' is missing")
    for name in ("options", "protocol"):
        if not isinstance(fields.get(name, {}), Mapping):
            raise SweepError(f"{where}: {name} must be a table, not {fields[name]!r}")
    try:
        of_task = task_class(str(fields["task"]))
        options = task_options(of_task.name, dict(fields.get("options", {})))
    except SweepError as error:
        raise SweepError(f"{where}: {error}") from None
    fields["options"] = options.model_dump(mode="json", exclude_defaults=True)
    fields.setdefault("units", of_task.default_units)

    overrides = dict(fields.get("protocol", {}))
    protocol = of_task.default_protocol.model_dump(exclude_unset=True)
    if "steps" in overrides or "epochs" in overrides:
        _refuse_other_unit(of_task.default_protocol, overrides, where=where)
        protocol = {key: value for key, value in protocol.items() if key not in ("steps", "epochs")}
    try:
        fields["protocol"] = Protocol.model_validate({**protocol, **overrides})
    except ValidationError as error:
        raise SweepError(explain(error, Protocol, where=f"{where}: protocol")) from None
    try:
        return Trial.model_validate(fields)
    except ValidationError as error:
        raise SweepError(explain(error, Trial, where=where)) from None


def _refuse_other_unit(default: Protocol, overrides: Mapping[str, Any], *, where: str) -> None:
    """Raises `SweepError` where the task's `evaluate_every` would come to count another unit than it was chosen for."""
    given, own = ("steps", "epochs") if default.steps is None else ("epochs", "steps")
    if overrides.get(given) is not None and overrides.get(own) is None and "evaluate_every" not in overrides:
        raise SweepError(
            f"{where}: protocol: the length is in {given}, the task evaluates every {default.evaluate_every} {own}; "
            f"give evaluate_every in {given}"
        )


def field_value(trial: Trial, key: str) -> Any:
    """The value of a trial's field, of its protocol or of its task's options (defaults included), by bare name.

    Raises `KeyError` for a name that none of them has.
    """
    if key in Trial.model_fields:
        return getattr(trial, key)
    if key in Protocol.model_fields:
        return getattr(trial.protocol, key)
    options = task_options(trial.task, trial.options)
    return cast(Any, options.model_dump(mode="json")[key])
