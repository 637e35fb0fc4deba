"""What stays: one record a trial, written so that nothing is lost."""
