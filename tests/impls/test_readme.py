"""The README's examples of the library, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls.contract import FRAMEWORKS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def example(framework: str) -> str:
    """The indented block that imports this framework's cells."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", README, re.MULTILINE)
    (found,) = [block for block in blocks if f"from impls.{framework} import" in block]
    return "\n".join(line[4:] for line in found.splitlines())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_example_runs(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(example(framework), names)
    outputs, state, used = names["outputs"], names["state"], np.asarray(names["used"])
    assert (outputs.h.shape, outputs.state_gate.shape) == ((3, 50, 110), (3, 50, 1))
    assert state.h.shape == (3, 110)
    gates = np.asarray(outputs.state_gate.detach() if framework == "pytorch" else outputs.state_gate)
    np.testing.assert_array_equal(used, np.flatnonzero(gates[0]))
    assert not gates[2, 7:].any()
    if framework == "pytorch":
        assert names["budget_loss"] > 0
        saved, loaded = (list(names[name].export_parameters().values()) for name in ("layer", "again"))
    else:
        saved, loaded = names["model"].get_weights(), names["again"].get_weights()
    for one, other in zip(saved, loaded, strict=True):
        np.testing.assert_array_equal(one, other)
