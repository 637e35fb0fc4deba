"""Exports: a sweep's records given to other tools, after the fact."""
