"""What the fast engine is made of on the CPU: kernels compiled by Numba, and the operation around them."""
