"""One trial, from batches to numbers."""
