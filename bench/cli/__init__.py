"""What a person types: `run_all.py` and `python -m bench`, one file a command."""
