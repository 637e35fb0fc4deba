"""Where XLA runs loops on a GPU: what it is told, and that it knows what it is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("", "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"),
        ("--xla_a=1", "--xla_a=1 --xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"),
        ("--xla_gpu_enable_command_buffer=FUSION", "--xla_gpu_enable_command_buffer=FUSION"),
        ("flags.txt", "flags.txt"),
    ],
)
def test_xla_keeps_loops_on_a_gpu_unless_the_user_chose_otherwise(
    given: str, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impls.tensorflow import gpu_loops

    monkeypatch.setenv("XLA_FLAGS", given)
    for _ in range(2):
        gpu_loops.keep_loops_on_the_gpu()
        assert os.environ["XLA_FLAGS"] == becomes


@pytest.mark.slow  # a process that compiles
def test_xla_knows_the_option_that_keeps_loops_on_a_gpu(tmp_path: Path) -> None:
    """It ends a process at an option that it does not know; and by itself it takes no loops."""
    from impls.tensorflow.gpu_loops import LOOPS_ON_THE_GPU

    program = "import tensorflow as tf; tf.function(tf.abs, jit_compile=True)(tf.ones(3))"
    taken = []
    for option in ("--xla_gpu_enable_command_buffer=+CONDITIONAL", LOOPS_ON_THE_GPU):
        folder = tmp_path / str(len(taken))
        variables = {**os.environ, "XLA_FLAGS": f"{option} --xla_dump_to={folder}"}
        subprocess.run([sys.executable, "-c", program], env=variables, check=True, capture_output=True)
        (told,) = folder.glob("*.debug_options")
        taken.append(set(re.findall(r"xla_gpu_enable_command_buffer: (\w+)", told.read_text())))
    assert taken[1] - taken[0] == {"WHILE"}
    assert "CONDITIONAL" in taken[1]
