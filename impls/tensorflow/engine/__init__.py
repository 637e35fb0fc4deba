"""The parts of the fast engine: jumps from update to update, rounds of them, and blocks of rounds compiled by XLA."""
