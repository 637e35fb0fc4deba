"""Figures of records, drawn in one style."""
