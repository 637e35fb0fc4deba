"""Benchmarks of the cells themselves: a training step and an inference step, by engine, against baselines."""
