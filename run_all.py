"""The full sweep, start to finish: run what is missing, record it, report it. The same as `python -m bench run`."""

from bench.cli.start import start


def _program() -> None:
    from bench.cli.program import run_all

    run_all()


if __name__ == "__main__":
    start(_program)
