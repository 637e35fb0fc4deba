"""What every test needs before a framework is imported."""

import os

# TensorFlow reads this once, on import: without it every run prints its search for CUDA libraries.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
