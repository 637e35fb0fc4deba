"""IMDB from reviews in the aclImdb layout and from the files of keras.datasets."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.reviews import tokenised
from bench.errors import DataError
from bench.tasks import build_task
from bench.tasks.base import Task
from tests.bench.tasks.checks import check_batches, check_epoch
from tests.bench.tasks.layouts import write_keras_reviews, write_reviews


def imdb(data: Path, **options: object) -> Task:
    return build_task("imdb", {"length": 8, "embedding_size": 4, **options}, data=data)


def test_tokens_are_lower_case_words_and_marks_without_tags():
    text = "I DIDN’T like it!<br /><br />Half-baked &amp; 2 hours... <i>Ça va?</i>"
    assert " ".join(tokenised(text)) == "i didn't like it ! half baked 2 hours . . . ça va ?"


@pytest.mark.parametrize("write", [write_reviews, write_keras_reviews], ids=["aclImdb", "keras"])
@pytest.mark.parametrize("padding", ["front", "masked"])
def test_reads_reviews(tmp_path: Path, write, padding: str):
    write(tmp_path)
    task = imdb(tmp_path, padding=padding)
    task.prepare()
    assert task.steps_per_epoch(1) == 34, "15 % of 40 reviews are held out"
    sizes = {
        split: sum(batch.size for batch in task.evaluation_batches(split, size=5, sequences=0))
        for split in ("validation", "test")
    }
    assert sizes == {"validation": 6, "test": 12}
    check_batches(task, imdb(tmp_path, padding=padding), size=6)
    assert task.train_batch(seed=0, step=0, size=34).inputs.max() < task.vocabulary_size


def test_labels_and_tokens_are_those_of_the_review(tmp_path: Path):
    folder = write_reviews(tmp_path)
    for path in folder.glob("test/*/*.txt"):
        path.unlink()
    (folder / "test/neg/1_1.txt").write_text("awful unheard film")
    (folder / "test/pos/0_10.txt").write_text("great " * 9)
    task = imdb(tmp_path, padding="masked")
    (batch,) = task.evaluation_batches("test", size=5, sequences=0)
    np.testing.assert_array_equal(batch.targets, [0, 1])
    assert batch.inputs[0, 1] == 1, "a word that training never saw is unknown"
    np.testing.assert_array_equal(batch.inputs[0, 3:], 0)
    np.testing.assert_array_equal(batch.mask, [[1] * 3 + [0] * 5, [1] * 8])
    assert len(set(batch.inputs[1])) == 1, "longer reviews are cropped"
    (front,) = imdb(tmp_path).evaluation_batches("test", size=5, sequences=0)
    assert front.mask is None
    np.testing.assert_array_equal(front.inputs[0], [0] * 5 + batch.inputs[0, :3].tolist())


def test_the_vocabulary_is_ranked_and_comes_from_the_training_part_alone(tmp_path: Path):
    folder = write_reviews(tmp_path)
    for path in folder.glob("train/*/*.txt"):
        path.write_text(f"common common common rarer rarer only{path.stem.replace('_', 'x')}")
    task = imdb(tmp_path)
    assert task.vocabulary_size == 2 + 2 + 34, "words of held-out reviews have no token"
    batch = task.train_batch(seed=0, step=0, size=34)
    np.testing.assert_array_equal(batch.inputs[:, 2:7], [[2, 2, 2, 3, 3]] * 34)
    limited = imdb(tmp_path, vocabulary=1)
    assert limited.vocabulary_size == 3
    assert set(limited.train_batch(seed=0, step=0, size=34).inputs.ravel()) == {0, 1, 2}


def test_an_epoch_reads_every_review_once(tmp_path: Path):
    folder = write_reviews(tmp_path)
    for path in folder.glob("train/*/*.txt"):
        path.write_text(f"film {path.stem.replace('_', 'x')}")
    task = imdb(tmp_path)
    # Held-out words are unknown, so every training review here is different.
    check_epoch(task, size=17)


def replace_first(folder: Path, content: bytes) -> Path:
    path = min((folder / "train" / "pos").iterdir())
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "an empty review"), (b" <br /> \n", "an empty review"), (b"caf\xe9 \xff", "not UTF-8 text")],
)
def test_damaged_reviews_are_named(tmp_path: Path, content: bytes, said: str):
    path = replace_first(write_reviews(tmp_path), content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {said}"):
        imdb(tmp_path).prepare()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train/neutral/1_5.txt", "the label 'neutral' lies outside the classes pos and neg"),
        ("test/pos/1_11.txt", "the rating 11 lies outside 0 to 10"),
        ("test/pos/review.txt", "called <id>_<rating>.txt"),
    ],
)
def test_reviews_outside_the_classes_are_named(tmp_path: Path, name: str, said: str):
    path = write_reviews(tmp_path) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("fine")
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        imdb(tmp_path).prepare()
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize("odd", ["a folder", "a link that leads nowhere"])
def test_what_is_no_readable_review_is_named(tmp_path: Path, odd: str):
    path = write_reviews(tmp_path) / "train/pos/99_9.txt"
    if odd == "a folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: cannot be read"):
        imdb(tmp_path).prepare()


def test_the_name_of_a_review_need_not_be_utf_8(tmp_path: Path):
    folder = write_reviews(tmp_path)
    (folder / "train/pos" / os.fsdecode(b"\xff_9.txt")).write_text("a good film")
    task = imdb(tmp_path)
    task.prepare()
    assert len(task.rows("train")) + len(task.rows("validation")) == 41


def test_unlabelled_reviews_are_left_alone(tmp_path: Path):
    folder = write_reviews(tmp_path)
    (folder / "train/unsup").mkdir()
    (folder / "train/unsup/0_0.txt").write_text("unlabelled")
    imdb(tmp_path).prepare()


def test_a_missing_folder_is_named_with_the_layout(tmp_path: Path):
    folder = write_reviews(tmp_path)
    for path in (folder / "test/neg").iterdir():
        path.unlink()
    (folder / "test/neg").rmdir()
    problem = imdb(tmp_path).data_problem()
    assert problem.startswith(f"{folder / 'test/neg'}: missing")
    assert "aclImdb_v1.tar.gz" in problem


def test_damaged_keras_files_are_named(tmp_path: Path):
    folder = write_keras_reviews(tmp_path)
    content = (folder / "imdb.npz").read_bytes()
    (folder / "imdb.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"imdb\.npz: not the file of keras"):
        imdb(tmp_path).prepare()


def renamed_words(folder: Path, old: str, new: str) -> None:
    """The word index with another word in the place of one."""
    index = folder / "imdb_word_index.json"
    index.write_text(json.dumps({new if word == old else word: n for word, n in json.loads(index.read_text()).items()}))


def test_a_carriage_return_in_a_word_shifts_no_other_word(tmp_path: Path):
    write_keras_reviews(tmp_path / "plain")
    renamed_words(write_keras_reviews(tmp_path / "odd"), "film", "fi\rlm")
    assert imdb(tmp_path / "odd").vocabulary_size == imdb(tmp_path / "plain").vocabulary_size


def test_a_line_break_in_a_word_is_refused(tmp_path: Path):
    renamed_words(write_keras_reviews(tmp_path), "film", "fi\nlm")
    with pytest.raises(DataError, match=r"imdb_word_index\.json: the word 'fi\\nlm' holds a line break"):
        imdb(tmp_path).prepare()


class Malicious:
    """Pickled, it runs a call of its own choice when it is read."""

    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys):
    folder = write_keras_reviews(tmp_path)
    with np.load(folder / "imdb.npz", allow_pickle=True) as archive:
        arrays = dict(archive)
    arrays["x_train"][0] = Malicious()
    np.savez(folder / "imdb.npz", **arrays)
    with pytest.raises(DataError, match=r"it asks for builtins\.print"):
        imdb(tmp_path).prepare()
    assert "never run" not in capsys.readouterr().out


def word2vec_text(vectors: dict[str, list[float]]) -> str:
    lines = [f"{word} {' '.join(map(str, vector))}" for word, vector in vectors.items()]
    return "\n".join([f"{len(vectors)} {len(next(iter(vectors.values())))}", *lines, ""])


def write_vectors(data: Path, name: str, vectors: dict[str, list[float]]) -> None:
    pytest.importorskip("gensim", reason="needs the extra word_vectors")
    (data / "word_vectors").mkdir()
    path = data / "word_vectors" / name
    if name.endswith(".bin"):
        header = f"{len(vectors)} {len(next(iter(vectors.values())))}\n".encode()
        path.write_bytes(
            header + b"".join(word.encode() + b" " + np.float32(v).tobytes() + b"\n" for word, v in vectors.items())
        )
    else:
        path.write_text(word2vec_text(vectors))


@pytest.mark.parametrize("name", ["vectors.bin", "vectors.txt"])
def test_words_with_a_trained_vector_start_from_it_and_the_others_as_drawn(tmp_path: Path, name: str, capsys):
    folder = write_reviews(tmp_path)
    for path in folder.glob("train/*/*.txt"):
        path.write_text("film film film great")
    write_vectors(tmp_path, name, {"great": [1, 2, 3, 4], "elsewhere": [5, 6, 7, 8]})
    task = imdb(tmp_path, word_vectors=name)
    task.prepare()
    drawn = {"embedding.weights": np.zeros((task.vocabulary_size, 4), np.float32), "readout.biases": np.ones(2)}
    values = task.initial_values(drawn)
    np.testing.assert_array_equal(values["embedding.weights"], [[0] * 4, [0] * 4, [0] * 4, [1, 2, 3, 4]])
    assert values["readout.biases"] is drawn["readout.biases"]
    assert "1 of the 2 words of the vocabulary (50.0%) start from" in capsys.readouterr().out
    assert not drawn["embedding.weights"].any(), "what was drawn stays as it is"
    assert imdb(tmp_path).initial_values(drawn).keys() == drawn.keys()


@pytest.mark.parametrize(
    ("vectors", "said"),
    [({"great": [1.0, 2.0]}, "vectors of width 2"), ({"great": [1, 2, 3, float("nan")]}, "not finite")],
)
def test_unfit_word_vectors_are_named(tmp_path: Path, vectors: dict[str, list[float]], said: str):
    write_reviews(tmp_path)
    write_vectors(tmp_path, "vectors.txt", vectors)
    with pytest.raises(DataError, match=rf"vectors\.txt: .*{said}"):
        imdb(tmp_path, word_vectors="vectors.txt").prepare()


def test_word_vectors_that_know_no_word_are_refused(tmp_path: Path):
    write_reviews(tmp_path)
    write_vectors(tmp_path, "vectors.txt", {"Great": [1, 2, 3, 4], "DULL": [5, 6, 7, 8]})
    for _ in range(2):  # what was prepared for the first is there for the second
        with pytest.raises(DataError, match=r"vectors\.txt: it knows none of the \d+ words of the vocabulary"):
            imdb(tmp_path, word_vectors="vectors.txt").prepare()


@pytest.mark.parametrize("name", ["vectors.bin", "vectors.txt"])
def test_a_header_that_asks_for_more_than_memory_is_one_line(tmp_path: Path, name: str):
    write_reviews(tmp_path)
    write_vectors(tmp_path, name, {"great": [1, 2, 3, 4]})
    (tmp_path / "word_vectors" / name).write_text("1000000000000 300\ngood 1\n")
    with pytest.raises(DataError, match=rf"{re.escape(name)}: its first line asks for more vectors than"):
        imdb(tmp_path, word_vectors=name).prepare()


def test_text_that_is_no_word_vectors_is_named(tmp_path: Path):
    write_reviews(tmp_path)
    write_vectors(tmp_path, "vectors.txt", {"great": [1, 2, 3, 4]})
    (tmp_path / "word_vectors" / "vectors.txt").write_text("hello world\n")
    with pytest.raises(DataError, match=r"vectors\.txt: not word vectors"):
        imdb(tmp_path, word_vectors="vectors.txt").prepare()


def test_missing_word_vectors_are_told_before_anything_runs(tmp_path: Path, monkeypatch):
    write_reviews(tmp_path)
    pytest.importorskip("gensim", reason="needs the extra word_vectors")
    assert "there is no such file" in imdb(tmp_path, word_vectors="google.bin").data_problem()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'skiprnn-bench[word_vectors]'" in imdb(tmp_path, word_vectors="google.bin").data_problem()
