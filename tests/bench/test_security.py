"""Nothing that is read can execute or lead out of its folder, and nothing that is written is taken for markup."""

from __future__ import annotations

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import report
from bench.data.charades_files import read_annotations
from bench.data.ucf101_files import read_classes, read_clips
from bench.errors import DataError, DiskError, RecordError, SweepError, UserError
from bench.plan import sweep as sweeps
from bench.records.format import checksum
from bench.records.listing import Listing, read_listing
from bench.records.store import Store
from bench.records.upkeep.merge import merge
from bench.report.frames import check_examples, read_examples, read_records
from bench.report.html.rendering import Details, Section, render
from bench.report.html.tables import PageTable
from bench.report.tables.formats import escape_latex, escape_markdown, to_latex, to_markdown
from tests.bench.records.test_records import record, trial
from tests.bench.test_imports import imported

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("bench", "impls") for path in (ROOT / folder).rglob("*.py"))
OUTSIDE = ("../x", "../../x", "/tmp/x", "x/../../y", "..", ".", "", "x\n")


class Hostile:
    """Pickled, it writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


# What reads a format that may hold code, or unpacks an archive to where that says.
EXECUTING = {
    "eval", "exec", "compile", "pickle.load", "pickle.loads", "pd.read_pickle", "marshal.loads", "shelve.open",
    "joblib.load", "yaml.load", "os.system", "shutil.unpack_archive",
}  # fmt: skip


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in nodes]


def given(call: ast.Call, name: str) -> object:
    found = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_reads_what_could_execute_or_unpacks_an_archive(path: Path) -> None:
    unpacking = {"extractall", "extract"} if imported(path) & {"zipfile", "tarfile"} else {"extractall"}
    for name, call in calls(path):
        assert name not in EXECUTING
        assert name.rpartition(".")[2] not in unpacking, f"{name} may write anywhere"
        if name in ("np.load", "numpy.load"):
            assert given(call, "allow_pickle") is False
        if name == "torch.load":
            assert given(call, "weights_only") is True
        assert given(call, "shell") is None


@pytest.mark.parametrize("name", ["gates.npz"])
def test_gates_that_are_a_pickle_are_refused(tmp_path: Path, name: str) -> None:
    store, touched = Store(tmp_path), tmp_path / "touched"
    path = store.write(record(trial())).with_name(name)
    hostile = np.array([Hostile(touched)], object)
    names = ("inputs", "targets", "gates", "predictions")
    np.savez(path, allow_pickle=True, **dict.fromkeys(names, hostile))
    assert read_examples(trial().id, store=store) is None
    assert "allow_pickle=False" in check_examples(path.parent, {})
    assert not touched.exists()


def test_weights_that_are_a_pickle_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    import torch

    from bench.tasks.extraction import build_frame_encoder

    timm: Any = types.ModuleType("timm")
    timm.create_model = lambda name, *, pretrained: torch.nn.Linear(1, 1)
    monkeypatch.setitem(sys.modules, "timm", timm)
    torch.save({"weight": Hostile(tmp_path / "touched")}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: no weights of a ResNet-50 \(Weights only load failed"):
        build_frame_encoder(weights=tmp_path / "weights.pth", device="cpu")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_sweeps_name_does_not_lead_out_of_its_folder(name: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(SweepError):
        sweeps.load(name)  # run, report, compare and the other commands ask here
    for act in (
        lambda: read_listing(results, name),
        lambda: read_records(name, results=results),
        lambda: report.write_report(name, results=results, reports=tmp_path / "reports"),
        lambda: report.compare(name, results=results),
        lambda: Listing(sweep=name, trials=()),
    ):
        with pytest.raises((RecordError, ValueError), match="is no sweep's name"):
            act()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "x.json"]


@pytest.mark.parametrize("sweep", ["../../planted", "other"])
def test_a_list_that_is_merged_does_not_choose_its_place(sweep: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "deep" / "a", tmp_path / "b"
    Store(theirs).write(record(trial()))
    (theirs / "mine.json").write_text(json.dumps({"sweep": sweep, "trials": []}))
    merged = merge(ours, theirs)
    assert [refusal.startswith(f"{theirs / 'mine.json'}: ") for refusal in merged.refused] == [True]
    assert not list(tmp_path.rglob("planted*"))
    assert not list(ours.glob("*.json"))


@pytest.mark.parametrize("trial_id", OUTSIDE)
def test_a_trials_id_is_no_path(trial_id: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    Store(tmp_path).write(record(trial()))
    results.mkdir()
    (results / "mine.json").write_text(json.dumps({"sweep": "mine", "trials": [trial_id]}))
    with pytest.raises(RecordError, match="is no trial's id"):
        read_listing(results, "mine")
    for act in (Store(results).folder_of, Store(results).read, lambda one: Store(results).set_aside(one, reason="")):
        with pytest.raises((RecordError, DiskError), match="is no trial's id"):
            act(trial_id)


def test_a_records_id_is_no_path(tmp_path: Path) -> None:
    path = Store(tmp_path).write(record(trial()))
    content = json.loads(path.read_text()) | {"trial_id": "../../x"}
    del content["checksum"]
    path.write_text(json.dumps(content | {"checksum": checksum(content)}))
    assert "../../x" in Store(tmp_path).survey().damaged[trial().id]


@pytest.mark.parametrize("name", ["..", "../..", "/tmp", ".hidden"])
def test_the_names_in_lists_of_data_sets_are_no_paths(name: str, tmp_path: Path) -> None:
    classes, clips, videos = tmp_path / "classInd.txt", tmp_path / "trainlist01.txt", tmp_path / "videos.csv"
    classes.write_text(f"1 {name}\n")
    with pytest.raises(DataError, match="line 1"):
        read_classes(classes)
    clips.write_text(f"{name}/v_a_g01_c01.avi 1\n")
    with pytest.raises(DataError, match="line 1"):
        read_clips(clips, classes={name: 0})
    videos.write_text(f"id,actions,length\n{name},,10\n")
    with pytest.raises(DataError, match="line 2"):
        read_annotations(videos, features=tmp_path)


HOSTILE = (
    "<script>alert(1)</script>", "a|b", "`code`", "one\ntwo", "[here](javascript:alert(1))", "![](x)", "*bold*",
    "<img src=x onerror=alert(1)>", "\\|", "a\r\n\r\nb", "</td></table>", '"><b>', "{{ 7 * 7 }}", "&lt;", "\x1b[31m",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_names_as_they_stand(text: str) -> None:
    lines = to_markdown(pd.DataFrame({"name": [text], "other": ["plain"]})).splitlines()
    assert len(lines) == 3, "a name is no new row"
    cells = re.split(r"(?<!\\)(?:\\\\)*\|", lines[2])
    assert len(cells) == 4, "nor a new column"
    bare = re.sub(r"\\.", "", escape_markdown(text))
    assert not set(bare) & set("<>`[]|*\\\n")
    assert escape_markdown(text).isprintable()


LATEX_SPECIALS = set("&%$#_{}~^\\")


@pytest.mark.parametrize(
    "text", [*HOSTILE, "&%$#_{}~^\\", "[1pt] at a row's start", "\\input{/etc/passwd}", "$x$", "50%"]
)
def test_latex_typesets_names_as_they_stand(text: str) -> None:
    escaped = escape_latex(text)
    commands = r"\\text\w+\{\}|\\[&%$#_{}]|\{[\[\]*]\}|\$\\\w+\$"
    assert not set(re.sub(commands, "", escaped)) & LATEX_SPECIALS
    assert escaped.isprintable()
    rows = [
        line
        for line in to_latex(pd.DataFrame({"a": [text]}), caption=text, label="t").splitlines()
        if line[-2:] == r"\\"
    ]
    assert len(rows) == 2, "a head and one row"
    assert not rows[1].startswith(("[", "*")), "which would belong to the row's end above"


class Marks(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.tags += [f"{tag}@{name}" for name, _ in attrs]


def page(text: str) -> str:
    section = Section(
        title=text, prose=[text], points=[text], facts=[(text, text)],
        tables=[PageTable(caption=text, text=pd.DataFrame({text: [text], "status": [text]}), note=text)],
        details=[Details(title=text, text=text)],
    )  # fmt: skip
    return render(title=text, description=text, sections=[section], figures=Path())


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_names_as_they_stand(text: str) -> None:
    found, plain = Marks(), Marks()
    found.feed(page(text))
    plain.feed(page("plain"))
    assert found.tags == plain.tags
