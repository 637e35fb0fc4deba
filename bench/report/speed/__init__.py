"""The report of the benchmarks of the cells."""
