"""How both programs start."""

from __future__ import annotations

import pytest

from bench.cli.start import start


def test_ctrl_c_while_a_program_imports_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        start(program)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
