"""A sweep as a short article."""
