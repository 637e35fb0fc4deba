"""Trials on the machines of a cluster, each a command of its own."""
