"""Sweep files: how grids expand, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SweepError
from bench.plan import sweep as sweeps

GRID = '[[grid]]\ntask = "adding"\ncell = "lstm"\nframework = "pytorch"\n'


def load(folder: Path, text: str) -> sweeps.Sweep:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return sweeps.load(str(path))


def test_a_grid_is_the_product_of_its_axes(tmp_path: Path) -> None:
    sweep = load(
        tmp_path,
        """
        description = "mine"
        [defaults]
        framework = ["pytorch", "tensorflow"]
        protocol = { steps = 5 }
        [[grid]]
        task = "adding"
        cell = ["skip_lstm", "skip_gru"]
        budget_cost = [0, 1e-5]
        seed = [0, 1, 2]
        options.length = [10, 20]
        protocol = { learning_rate = 1e-3 }
        """,
    )
    assert sweep.name == "mine"
    assert len(sweep.trials) == 2 * 2 * 2 * 3 * 2
    assert {trial.protocol.steps for trial in sweep.trials} == {5}
    assert {trial.protocol.learning_rate for trial in sweep.trials} == {1e-3}


def test_units_are_a_number_or_a_list_of_stacks(tmp_path: Path) -> None:
    assert [trial.units for trial in load(tmp_path, GRID + "units = 8").trials] == [(8,)]
    assert [trial.units for trial in load(tmp_path, GRID + "units = [8, [16, 24]]").trials] == [(8,), (16, 24)]


def test_a_layer_of_the_gate_is_one_trial_however_it_is_counted(tmp_path: Path) -> None:
    stack = GRID.replace("lstm", "skip_lstm") + "units = [[4, 4, 4]]\n"
    ids = {number: load(tmp_path, stack + f"gate_layer = {number}").trials[0].id for number in range(-3, 3)}
    assert ids[-1] == ids[2] == load(tmp_path, stack).trials[0].id
    assert ids[-2] == ids[1]
    assert ids[-3] == ids[0]
    assert len(set(ids.values())) == 3
    with pytest.raises(SweepError, match="duplicate trial"):
        load(tmp_path, stack + "gate_layer = [2, -1]")


def test_a_sweep_of_the_project_is_told_without_the_machines_folders() -> None:
    assert sweeps.load("digits").file == "bench/plan/sweeps/digits.toml"


def test_a_sweep_can_include_others(tmp_path: Path) -> None:
    sweep = load(tmp_path, 'include = ["quick"]\n' + GRID + "seed = 77\n")
    assert len(sweep.trials) == len(sweeps.load("quick").trials) + 1


def test_defaults_are_of_the_files_own_grids(tmp_path: Path) -> None:
    sweep = load(tmp_path, 'include = ["quick"]\n[defaults]\nseed = 77\n' + GRID)
    assert [trial.seed for trial in sweep.trials].count(77) == 1
    assert sweep.trials[:-1] == sweeps.load("quick").trials


def test_where_narrows_and_repeats_are_alternatives(tmp_path: Path) -> None:
    sweep = load(tmp_path, GRID + "units = [8, [16, 24]]\nseed = [0, 1, 2]\noptions.length = [10, 20]")
    assert len(sweep.narrowed(["seed=0", "seed=1"]).trials) == 8
    assert len(sweep.narrowed(["units=16x24", "length=10"]).trials) == 3
    assert len(sweep.narrowed(["budget_cost=0", "cell=lstm"]).trials) == 12


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("framework", "write key=value"),
        ("framewrk=pytorch", "no trial has the key 'framewrk'; did you mean 'framework'?"),
        ("framework=pytroch", "no trial of sweep 'mine' has this value; did you mean 'pytorch'? (framework: pytorch)"),
        ("budget_cost=cheap", "no trial of sweep 'mine' has this value (budget_cost: 0.0, 1e-05)"),
        ("framework=", "no trial of sweep 'mine' has this value (framework: pytorch)"),
        (
            "budget_cost=1e-4",
            "no trial of sweep 'mine' has this value; did you mean '1e-05'? (budget_cost: 0.0, 1e-05)",
        ),
    ],
)
def test_where_refuses(tmp_path: Path, condition: str, message: str) -> None:
    with pytest.raises(SweepError) as caught:
        load(tmp_path, GRID + "budget_cost = [0.0, 1e-5]").narrowed([condition])
    assert message in str(caught.value)


def test_a_wrong_alternative_is_refused_though_another_one_is_right(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="seed=7: no trial"):
        load(tmp_path, GRID + "seed = [0, 1]").narrowed(["seed=0", "seed=7"])


def test_where_refuses_values_that_no_trial_has_together(tmp_path: Path) -> None:
    sweep = load(tmp_path, GRID + GRID.replace("lstm", "gru") + "seed = 1")
    with pytest.raises(SweepError, match="no trial of sweep 'mine' is left"):
        sweep.narrowed(["cell=lstm", "seed=1"])


def test_trials_that_differ_in_the_device_alone_become_one_on_another(tmp_path: Path) -> None:
    sweep = load(tmp_path, GRID + 'device = ["cpu", "cuda"]')
    assert [trial.device for trial in sweep.on("cuda").trials] == ["cuda"]


def test_a_device_that_cannot_multiply_so_is_refused(tmp_path: Path) -> None:
    sweep = load(tmp_path, GRID + 'device = "cuda"\nprecision = "tf32"')
    with pytest.raises(SweepError, match=r"mine on cpu: precision='tf32' with device='cpu': only a GPU"):
        sweep.on("cpu")
    assert sweep.on("cuda") == sweep


@pytest.mark.parametrize("name", ["../quick", "/etc/passwd", "sweeps/quick", "", "."])
def test_a_name_that_is_a_path_is_no_sweep_of_the_project(name: str) -> None:
    with pytest.raises(SweepError, match="unknown sweep"):
        sweeps.load(name)


@pytest.mark.parametrize("file", ["...toml", "..toml", "..hidden.toml", "[red]mine.toml", "a\nb.toml", "<b>.toml"])
def test_a_sweeps_name_stays_in_the_folder_of_results(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.write_text(GRID, encoding="utf-8")
    with pytest.raises(SweepError, match="a sweep is named after its file") as caught:
        sweeps.load(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sweeps.TAKEN)
def test_a_sweep_takes_no_folder_that_means_something_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(GRID, encoding="utf-8")
    with pytest.raises(SweepError, match="another meaning; rename the file"):
        sweeps.load(str(path))


@pytest.mark.parametrize("include", ["../outside.toml", "{folder}/outside.toml", "link.toml"])
def test_an_include_stays_in_the_sweeps_folder(tmp_path: Path, include: str) -> None:
    (tmp_path / "outside.toml").write_text(GRID, encoding="utf-8")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.toml").symlink_to(tmp_path / "outside.toml")
    with pytest.raises(SweepError, match="a sweep includes files of its own folder alone"):
        load(inside, f'include = ["{include.format(folder=tmp_path)}"]')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the sweep is empty: give at least one [[grid]]"),
        ("a = [", "not valid TOML"),
        ("grids = 1", "unknown key 'grids'; did you mean 'grid'?"),
        ("[grid]\na = 1", "'grid' must be written as [[grid]]"),
        (GRID + "cels = 1", "grid 1: unknown key 'cels'; did you mean 'cell'?"),
        (GRID.replace("task", "tsk"), "grid 1: unknown key 'tsk'; did you mean 'task'?"),
        (GRID + "seed = []", "grid 1: empty grid: the key 'seed' has no values"),
        (GRID + "protocol.steps = []", "grid 1: empty grid: the key 'protocol.steps' has no values"),
        (GRID + "seed = [0, 0]", "grid 1: duplicate trial (adding lstm pytorch seed=0)"),
        (GRID + GRID, "grid 2: duplicate trial (adding lstm pytorch seed=0), already given by"),
        (GRID + "budget_cost = -1", "grid 1: budget_cost = -1"),
        (GRID + "p_skip = 1", "grid 1: p_skip = 1: Input should be less than 1"),
        (GRID + 'protocol = "fast"', "grid 1: 'protocol' must be a table"),
        ("grid = [1]", "'grid' must be written as [[grid]]"),
        ('description = "a\\u001b[31mb"\n' + GRID, "'description' holds a line break or another control character"),
        ('include = ["other.toml"]', "other.toml: there is no such file"),
        ('include = ["mine.toml"]', "mine.toml: includes itself"),
        ('include = ["inside/../mine.toml"]', "mine.toml: includes itself"),
        (f'include = ["{"a" * 300}.toml"]', "File name too long"),
        ('include = ["a\\u0000.toml"]', "cannot be read: embedded null byte"),
        (GRID + f"seed = {'1' * 5001}", "mine.toml: cannot be read: a number has too many digits"),
        (
            GRID + f"units = {'[' * 3000}{']' * 3000}",
            "mine.toml: cannot be read: a number has too many digits, or brack",
        ),
        (GRID + f"protocol.steps = 1{'0' * 400}", "steps = 1000"),
        (GRID + f"protocol.steps = 0x{'f' * 5000}", "steps = a number of thousands of digits: Input should be"),
        (GRID + f"seed = 0x{'f' * 5000}", "seed = a number of thousands of digits: Input should be"),
        (
            'include = ["quick"]\n[defaults]\nseed = [5]',
            "mine.toml: 'defaults' are of this file's own grids, and it has",
        ),
        ('include = ["quick"]\n[defaults]\nfoo = 3', "mine.toml: defaults: unknown key 'foo'"),
        ("[defaults]\nsed = 3\n" + GRID, "mine.toml: defaults: unknown key 'sed'; did you mean 'seed'?"),
        ('include = ["quik"]', "unknown sweep 'quik'; did you mean 'quick'?"),
    ],
)
def test_refusals_name_file_key_and_nearest(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises(SweepError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sweeps.available())
def test_every_sweep_of_the_project_loads(name: str) -> None:
    sweep = sweeps.load(name)
    assert sweep.trials
    assert sweep.description


def test_quick_is_worth_looking_at() -> None:
    trials = sweeps.load("quick").trials
    assert {trial.framework for trial in trials} == {"pytorch", "tensorflow"}
    assert {trial.cell for trial in trials} == {"lstm", "gru", "skip_lstm", "skip_gru"}
    assert {trial.task for trial in trials} == {"adding", "frequency", "digits"}
    assert any(trial.budget_cost > 0 for trial in trials)
    assert any(trial.p_skip > 0 for trial in trials)
    pairs = [trial.pair_id() for trial in trials]
    assert all(pairs.count(pair) == 2 for pair in pairs)
