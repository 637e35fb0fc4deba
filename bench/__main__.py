"""`python -m bench`: the single steps."""

from bench.cli.start import start


def _program() -> None:
    from bench.cli.program import application

    application()()


def main() -> None:
    """The entry point of `python -m bench`, and of `skiprnn-bench` where the project is installed."""
    start(_program)


if __name__ == "__main__":
    main()
