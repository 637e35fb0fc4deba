"""Trials: what is refused and in which words, and what their ids depend on."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import SweepError
from bench.plan.trial import Trial, build_trial, field_value

ADDING: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "framework": "pytorch"}


def trial(**changes: Any) -> Trial:
    return build_trial({**ADDING, **changes}, where="here")


def test_left_out_fields_are_the_papers() -> None:
    made = trial()
    assert made.units == (110,)
    assert made.protocol.learning_rate == 1e-4
    assert made.protocol.batch_size == 256
    assert made.protocol.clip_norm == 1.0
    assert field_value(made, "length") == 50


def test_id_is_of_the_content_not_of_how_it_was_written() -> None:
    assert trial().id == trial(units=[110], seed=0, budget_cost=0, options={"length": 50}).id
    assert trial(budget_cost=1e-5).id == trial(budget_cost=0.00001).id
    assert len(trial().id) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"cell": "lstm"},
        {"units": [32]},
        {"framework": "tensorflow"},
        {"seed": 1},
        {"budget_cost": 1e-5},
        {"options": {"length": 20}},
        {"device": "cuda"},
        {"precision": "bfloat16"},
        {"protocol": {"learning_rate": 1e-3}},
        {"protocol": {"learning_rate_schedule": "cosine"}},
        {"protocol": {"steps": 10}},
        {"layer_norm": True},
        {"cell": "lstm", "period": 2},
    ],
)
def test_every_field_enters_the_id(change: dict[str, Any]) -> None:
    assert trial(**change).id != trial().id


def test_a_period_of_one_is_no_skip() -> None:
    assert trial(cell="lstm", period=1).id == trial(cell="lstm").id
    assert len({trial(cell="lstm", period=period).id for period in (1, 2, 3)}) == 3
    assert "period=3" in trial(cell="lstm", period=3).label
    assert "period" not in trial(cell="lstm").label
    fashion = trial(task="mnist", cell="gru", options={"variant": "fashion_mnist", "downsample": 2})
    assert fashion.label.startswith("mnist variant=fashion_mnist downsample=2 gru")


def test_a_label_tells_what_is_not_as_it_is_by_default() -> None:
    plain = trial().label
    for name, value in {
        "budget_target": 5.0, "activation": "relu", "forget_bias": 0.5, "layer_norm": True, "update_bias": 0.5,
        "initial_state": "zeros", "gate": "bernoulli", "gate_layer": 0, "engine": "reference",
    }.items():  # fmt: skip
        told = f"{value:g}" if isinstance(value, float) else value
        assert f"{name}={told}" in trial(**{name: value}).label
        assert f"{name}=" not in plain
    assert "budget=l2 budget_target=5" in trial(budget="l2", budget_target=5).label


def test_a_native_layer_is_a_trial_where_its_equations_are_the_cells() -> None:
    made = trial(engine="native", cell="lstm")
    assert made.pair_id() == trial(engine="native", cell="lstm", framework="tensorflow").pair_id()
    assert trial(engine="native", cell="gru", framework="tensorflow", initial_state="zeros").engine == "native"


def test_a_precision_of_float32_is_what_trials_always_had() -> None:
    assert trial(precision="float32").id == trial().id
    assert trial(precision="bfloat16").pair_id() == trial(precision="bfloat16", framework="tensorflow").pair_id()
    assert "bfloat16" in trial(precision="bfloat16").label
    assert "float32" not in trial().label
    assert trial(precision="bfloat16").model_spec(trial().build_task()).cell.precision == "bfloat16"


def test_a_default_valued_field_added_later_leaves_old_ids() -> None:
    class Later(Trial):
        novelty: int = 3

    later = Later.model_validate(trial().model_dump())
    assert later.id == trial().id
    assert later.model_copy(update={"novelty": 4}).id != trial().id


def test_a_constant_learning_rate_is_no_schedule() -> None:
    assert trial(protocol={"learning_rate_schedule": "constant"}).id == trial().id


def test_ids_recorded_before_still_hold() -> None:
    # Changing one of these orphans every record that users have.
    assert trial(engine="reference", protocol={"steps": 100}).id == "dbeb39f2daebdc6a"
    assert (
        trial(engine="reference", task="digits", cell="gru", p_skip=0.5, units=[16, 24], framework="tensorflow").id
        == "325d8bec682b74d7"
    )


def test_a_recorded_trial_keeps_the_layer_that_its_id_is_of() -> None:
    made = trial(units=[4, 4], gate_layer=1)
    assert build_trial(made.model_dump(mode="json"), where="here").id == made.id != made.in_one_form().id


def test_pairs_differ_in_the_framework_alone() -> None:
    assert trial().pair_id() == trial(framework="tensorflow").pair_id()
    assert trial().pair_id() != trial(seed=1).pair_id()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cell": "skip_lstn"},
            "here: cell = 'skip_lstn': not one of lstm, gru, skip_lstm, skip_gru; did you mean",
        ),
        ({"task": "ading"}, "here: unknown task 'ading'; did you mean 'adding'?"),
        ({"framework": "torch"}, "here: framework = 'torch': not one of pytorch, tensorflow"),
        ({"budget_cost": -1e-5}, "here: budget_cost = -1e-05: Input should be greater than or equal to 0"),
        ({"budget_cost": float("nan")}, "here: budget_cost = nan"),
        ({"budget_target": float("inf")}, "here: budget_target = inf: Input should be a finite number"),
        ({"forget_bias": float("nan")}, "here: forget_bias = nan: Input should be a finite number"),
        ({"update_bias": float("inf")}, "here: update_bias = inf: Input should be a finite number"),
        ({"cell": "lstm", "p_skip": 1.0}, "here: p_skip = 1.0: Input should be less than 1"),
        ({"cell": "lstm", "p_skip": -0.1}, "here: p_skip = -0.1"),
        ({"p_skip": 0.5}, "the random skip is a baseline of plain cells"),
        ({"period": 2}, "period = 2 with cell = 'skip_lstm': the periodic skip is a baseline of plain cells"),
        ({"cell": "gru", "period": 0}, "here: period = 0: Input should be greater than or equal to 1"),
        ({"cell": "gru", "period": 2.5}, "here: period = 2.5: Input should be a valid integer"),
        (
            {"cell": "gru", "period": 2, "p_skip": 0.5},
            "period = 2 with p_skip = 0.5: skips are either periodic or random",
        ),
        (
            {"precision": "bfloat"},
            "here: precision = 'bfloat': not one of float32, tf32, bfloat16; did you mean 'bfloat16'?",
        ),
        ({"engine": "native"}, "engine='native' has no cell 'skip_lstm': a framework's own layer does not skip; use"),
        ({"engine": "native", "cell": "gru"}, "torch.nn.GRU resets after the product"),
        ({"engine": "native", "cell": "lstm", "p_skip": 0.5}, "engine='native' has no random or periodic skips"),
        ({"engine": "native", "cell": "lstm", "period": 2}, "engine='native' has no random or periodic skips"),
        ({"engine": "native", "cell": "lstm", "layer_norm": True}, "engine='native' has no layer_norm"),
        ({"engine": "nativ"}, "engine = 'nativ': not one of reference, fast, native; did you mean 'native'?"),
        ({"precision": "tf32"}, "precision='tf32' with device='cpu': only a GPU multiplies so; use device='cuda' or"),
        ({"units": True}, "here: units.0 = True: Input should be a valid integer"),
        ({"units": [8, "16"]}, "here: units.1 = '16': Input should be a valid integer"),
        ({"budget_cost": True}, "here: budget_cost = True: Input should be a valid number"),
        ({"layer_norm": "no"}, "here: layer_norm = 'no': Input should be a valid boolean"),
        ({"layer_norm": 1}, "here: layer_norm = 1: Input should be a valid boolean"),
        ({"seed": "1"}, "here: seed = '1': Input should be a valid integer"),
        ({"seed": True}, "here: seed = True: Input should be a valid integer"),
        ({"options": {"length": True}}, "here: options of adding: length = True: Input should be a valid integer"),
        (
            {"task": "frequency", "options": {"sample_milliseconds": "1"}},
            "options of frequency: sample_milliseconds = '1': Input should be a valid number",
        ),
        ({"protocol": {"learning_rate": "1e-3"}}, "protocol: learning_rate = '1e-3': Input should be a valid number"),
        ({"protocol": {"steps": True}}, "here: protocol: steps = True: Input should be a valid integer"),
        ({"units": []}, "here: units = []: one entry a layer, each at least 1"),
        ({"units": [0]}, "here: units = [0]: one entry a layer, each at least 1"),
        ({"seed": -1}, "here: seed = -1"),
        ({"seed": 2**32}, "here: seed = 4294967296: Input should be less than 4294967296"),
        ({"gate_layer": 1}, "gate_layer = 1: the stack has layers 0 to 0"),
        ({"gate_layer": 3, "units": [4, 4]}, "gate_layer = 3: the stack has layers 0 to 1"),
        ({"gate_layer": -3, "units": [4, 4]}, "gate_layer = -3: the stack has layers 0 to 1"),
        ({"budget": "l1"}, "budget = 'l1' needs a budget_target"),
        ({"lambda": 1}, "here: unknown key 'lambda'"),
        ({"options": {"lenght": 5}}, "here: options of adding: unknown key 'lenght'; did you mean 'length'?"),
        ({"options": {"length": 1}}, "here: options of adding: length = 1"),
        (
            {"protocol": {"learning_rat": 1}},
            "here: protocol: unknown key 'learning_rat'; did you mean 'learning_rate'?",
        ),
        ({"protocol": {"steps": 1, "epochs": 1}}, "here: protocol: give exactly one of steps and epochs"),
        (
            {"task": "digits", "protocol": {"steps": 1000}},
            "here: protocol: the length is in steps, the task evaluates every 5 epochs; give evaluate_every in steps",
        ),
        (
            {"protocol": {"epochs": 2, "steps": None}},
            "here: protocol: the length is in epochs, the task evaluates every 300 steps; give evaluate_every in",
        ),
        ({"protocol": {"steps": 10**400}}, "0…: Input should be less than or equal to 1000000000"),
        ({"protocol": {"steps": 16**5000}}, "here: protocol: steps = a number of thousands of digits: Input should be"),
        ({"options": {"length": 10**400}}, "0…: Input should be less than or equal to 1000000000"),
        ({"units": [10**400]}, "0…: Input should be less than or equal to 1000000000"),
        ({"cell": "lstm", "period": 10**10}, "here: period = 10000000000: Input should be less than or equal to"),
        (
            {"task": "frequency", "options": {"sample_milliseconds": 1e-9}},
            "options of frequency: sample_milliseconds = 1e-09: Input should be greater than or equal to 0.001",
        ),
        ({"protocol": {"batch_size": 0}}, "here: protocol: batch_size = 0"),
        ({"protocol": {"learning_rate": 0}}, "here: protocol: learning_rate = 0: Input should be greater than 0"),
        ({"protocol": {"beta_1": 1.0}}, "here: protocol: beta_1 = 1.0: Input should be less than 1"),
        ({"protocol": {"beta_2": 1.0}}, "here: protocol: beta_2 = 1.0: Input should be less than 1"),
        ({"protocol": {"epsilon": 0}}, "here: protocol: epsilon = 0: Input should be greater than 0"),
        ({"protocol": {"clip_norm": -1}}, "here: protocol: clip_norm = -1: Input should be greater than or equal to 0"),
        ({"protocol": {"clip_norm": float("inf")}}, "protocol: clip_norm = inf: Input should be a finite number"),
        (
            {"protocol": {"clip_norm": 1e300}},
            "clip_norm = 1e+300: more than 1e+09 clips nothing; 0 turns clipping off",
        ),
        ({"protocol": None}, "here: protocol must be a table, not None"),
        ({"protocol": [["steps", 3]]}, "here: protocol must be a table, not [['steps', 3]]"),
        ({"options": "length"}, "here: options must be a table, not 'length'"),
        ({"protocol": {"epsilon": float("inf")}}, "protocol: epsilon = inf: Input should be a finite number"),
        ({"protocol": {"learning_rate": float("inf")}}, "learning_rate = inf: Input should be a finite number"),
        (
            {"task": "charades", "options": {"frames_per_second": float("inf")}},
            "here: options of charades: frames_per_second = inf: Input should be a finite number",
        ),
        ({"protocol": {"dropout": 1.0}}, "here: protocol: dropout = 1.0: Input should be less than 1"),
        (
            {"protocol": {"learning_rate_schedule": "cosin"}},
            "protocol: learning_rate_schedule = 'cosin': not one of constant, linear, cosine; did you mean 'cosine'?",
        ),
    ],
)
def test_refusals_name_the_key_and_the_nearest_right_one(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError) as caught:
        trial(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_least_of_each_value_is_taken() -> None:
    least = {"steps": 1, "batch_size": 1, "evaluate_every": 1, "evaluation_sequences": 1, "beta_1": 0, "beta_2": 0}
    least |= {"clip_norm": 0, "dropout": 0}
    made = trial(cell="lstm", units=[1], seed=0, budget_cost=0, p_skip=0, period=1, gate_layer=-1, protocol=least)
    assert {key: getattr(made.protocol, key) for key in least} == least
    assert trial(protocol={"epochs": 1, "evaluate_every": 1}).protocol.epochs == 1


def test_a_whole_number_does_where_a_number_is_asked_for() -> None:
    made = trial(budget_cost=1, forget_bias=2, protocol={"learning_rate": 1})
    assert made.id == trial(budget_cost=1.0, forget_bias=2.0, protocol={"learning_rate": 1.0}).id
    assert Trial.model_validate_json(made.model_dump_json()) == Trial.model_validate(made.model_dump()) == made


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SweepError, match="here: the key 'cell' is missing"):
        build_trial({"task": "adding", "framework": "pytorch"}, where="here")
    with pytest.raises(SweepError, match="here: the key 'task' is missing"):
        build_trial({}, where="here")
