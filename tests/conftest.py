"""What every test needs before a framework is imported: both read these once, on import."""

import os

# Without it TensorFlow prints its search for CUDA libraries on every run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The tensors of tests are tiny: two frameworks' threads spend longer waiting for each other than working.
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")
