"""Who runs a trial, and what stands of it until it ends."""
