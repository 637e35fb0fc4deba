"""What a person types: every mistake is one line, every narrowing the same for all commands."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import options
from bench.cli.program import COMMANDS, application
from bench.plan import sweep as sweeps
from bench.records.record import identity
from bench.records.store import Store
from bench.report.names import FRAMEWORKS
from impls.contract import DeviceReport
from tests.bench.cli.commands import MINI, ROOT, command, save_nothing

# Each takes a tenth of a second to import at least, most of them seconds.
SLOW_TO_IMPORT = {"keras", "matplotlib", "numba", "numpy", "pandas", "psutil", "ray", "scipy", "seaborn"}
SLOW_TO_IMPORT |= {"tensorboard", "tensorflow", "torch", "transformers", "bench.report", "bench.speed", "bench.train"}


@pytest.mark.parametrize("name", ["run_all", *COMMANDS])
def test_the_help_of_every_command_is_quick(name: str) -> None:
    """It imports nothing that only the work needs."""
    words = ("run_all.py",) if name == "run_all" else ("-m", "bench", name)
    done = command(*words, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & SLOW_TO_IMPORT


def test_an_option_of_several_commands_is_told_once() -> None:
    """A parameter that two commands share is annotated by its name in `options`, not described again."""
    named = {name for name in vars(options) if name.endswith(("Option", "Argument"))}
    for command_name, function in COMMANDS.items():
        for parameter in inspect.signature(function).parameters.values():
            others = [other for other in COMMANDS.values() if other is not function]
            shared = [inspect.signature(other).parameters.get(parameter.name) for other in others]
            if parameter.annotation in named:
                continue
            assert parameter.annotation not in {one.annotation for one in shared if one}, f"{command_name}: {parameter}"


@pytest.mark.parametrize("words", [("run_all.py", "quick"), ("-m", "bench", "list")])
def test_outside_of_the_environment_one_line_says_what_to_do(words: tuple[str, ...]) -> None:
    bare = ["-S", "-E"]  # without installed packages
    done = subprocess.run([sys.executable, *bare, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: this Python (")
    assert ".venv/bin/activate`" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "framework=pytroch"], "has this value; did you mean 'pytorch'? (framework: pytorch, tensorflow)"),
        (["--where", "framwork=pytorch"], "no trial has the key 'framwork'; did you mean 'framework'?"),
        (["--device", "cud"], "--device cud: not one of cpu, cuda; did you mean 'cuda'?"),
    ],
)
@pytest.mark.parametrize("name", ["run", "report", "compare"])
def test_run_report_and_compare_refuse_alike(name: str, words: list[str], message: str) -> None:
    done = command("-m", "bench", name, "quick", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_message_cannot_steer_the_terminal() -> None:
    done = command("-m", "bench", "run", "quick", "--where", "framework=\x1b[31mred", "--dry-run")
    assert "\x1b" not in done.stderr
    assert "framework=\\x1b[31mred" in done.stderr


def test_report_and_compare_read_the_trials_that_run_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.writing.save", save_nothing)
    monkeypatch.setenv("COLUMNS", "200")
    runner, program = CliRunner(), application()
    path = tmp_path / "mini.toml"
    path.write_text(MINI + "seed = [0, 1]\n")
    sweep = sweeps.load(str(path))
    folder = tmp_path / "results"
    store = Store(folder)
    for trial in sweep.trials:
        store.write(recorded(trial))
    narrowed = ["--where", "seed=1", "--results", str(folder)]

    reported = runner.invoke(program, ["report", str(path), *narrowed, "--reports", str(tmp_path / "reports")])
    assert reported.exit_code == 0, reported.output
    rows = (tmp_path / "reports" / "mini" / "records.csv").read_text(encoding="utf-8").splitlines()[1:]
    asked = sweep.narrowed(["seed=1"])
    assert len(rows) == len(asked.trials) == 2
    assert all(any(trial.id in row for row in rows) for trial in asked.trials)

    compared = runner.invoke(program, ["compare", str(path), *narrowed])
    assert compared.exit_code == 0, compared.output
    assert "Skip GRU" in compared.output
    elsewhere = command("-m", "bench", "compare", str(path), "--device", "cuda", "--results", str(folder))
    assert elsewhere.returncode == 2
    assert "no records of the 4 trials asked for" in elsewhere.stderr


def recorded(trial: sweeps.Trial) -> object:
    from bench.records.record import Record

    return Record(
        **identity(trial),
        status="ok",
        quality=0.5,
        loss=0.5,
        update_ratio=0.5,
        updates=3.0,
        step_milliseconds=1.0,
        total_seconds=2.0,
        parameters_checksum="same",
        batches_checksum="same",
    )


@pytest.mark.usefixtures("learns_nothing")
def test_one_trial_by_its_id_runs_for_the_first_time_and_again(tmp_path: Path) -> None:
    path = tmp_path / "mini.toml"
    path.write_text(MINI)
    trial = sweeps.load(str(path)).trials[0]
    place = ["--results", str(tmp_path / "results")]

    first = command("run_all.py", str(path), "--trial", trial.id[:10], *place)
    assert first.returncode == 0, first.stdout + first.stderr
    record = tmp_path / "results" / "trials" / trial.id / "record.json"
    kept = record.read_bytes()
    assert f"{json.loads(kept)['quality']:.6g}" in first.stdout

    again = command("run_all.py", "--trial", trial.id, *place)  # found by its record: no sweep is named
    assert again.returncode == 0, again.stdout + again.stderr
    assert "before" in again.stdout
    (line,) = [line for line in again.stdout.splitlines() if line.startswith("quality ")]
    assert line.split()[1] == line.split()[2], "the same parameters and batches on the same machine"
    assert record.read_bytes() == kept, "what was recorded first stays"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trial", "0000000000000000"], "no trial of any sweep of the project, or record in"),
        (["quick", "--trial", "../../etc"], "an id has 16 hexadecimal digits"),
        (["quick", "--trial", ""], "an id has 16 hexadecimal digits"),
        (["--trial", "9", "--device", "cpu"], "leave --where, --device and --shard out"),
        (["quick", "--trial", "9"], "ids begin so: "),
    ],
)
def test_an_id_that_names_no_single_trial_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    done = command("run_all.py", *words, "--results", str(tmp_path))
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_trial_of_any_sweep_of_the_project_is_found_by_its_id(tmp_path: Path) -> None:
    trial = sweeps.load("table1-cpu").trials[-1]
    done = command("run_all.py", "--trial", trial.id, "--dry-run", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert trial.label in done.stdout
    assert "1 trials, 1 to run" in done.stdout or "1 trial, 1 to run" in done.stdout


def test_a_dry_run_says_what_is_missing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As frameworks tell it without a GPU; what they tell is asked by the refusal of a run."""

    def described(framework: str) -> DeviceReport:
        problem = f"{FRAMEWORKS[framework]} sees no GPU"
        return DeviceReport(framework=framework, version="", cuda_devices=(), problem=problem)

    monkeypatch.setattr("bench.machine.devices.describe", described)
    words = ["--dry-run", "--device", "cuda", "--data", str(tmp_path), "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(application(), ["run", "table4-cpu", *words])
    assert done.exit_code == 0, done.output
    missing = [line for line in done.output.splitlines() if line.startswith("missing here: ")]
    assert any("PyTorch" in line and "TensorFlow" in line for line in missing)


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("table2-cpu", "fashion_mnist (31 MB) from http://fashion-mnist.s3"),
        ("table5-cpu", "imdb.npz and imdb_word_index.json (19 MB) from https://storage.googleapis.com/"),
    ],
)
def test_a_dry_run_says_what_the_run_would_download(sweep: str, said: str, tmp_path: Path) -> None:
    done = command("run_all.py", sweep, "--dry-run", "--data", str(tmp_path), "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert "to run, no estimate yet: the data of" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("downloaded by the run: "))
    assert said in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", ["100", "60"])
def test_list_is_one_line_a_row(columns: str) -> None:
    done = command("-m", "bench", "list", COLUMNS=columns)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert len(line) <= int(columns)
        assert line.split()[0] in ("sweep", "task", "cell", "framework")
    assert sum(line.startswith("sweep") for line in done.stdout.splitlines()) == len(sweeps.available())


def test_what_was_typed_is_quoted_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli.start import command_line

    monkeypatch.setattr(sys, "argv", ["run_all.py", "my sweep.toml", "--where", "seed=1"])
    assert command_line() == "python run_all.py 'my sweep.toml' --where seed=1"


def test_make_install_stands_in_the_makefile() -> None:
    """The advice outside of the environment names it."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run([make, "-n", "install"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
