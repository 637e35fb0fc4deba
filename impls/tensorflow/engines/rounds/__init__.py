"""What the fast engine is made of: rounds of updates, in blocks compiled by XLA."""
