"""The parts of the fast engine: compiled kernels for the CPU, and the same gradient in PyTorch operations."""
