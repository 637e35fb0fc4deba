"""The harness: trials, tasks, sweeps, records and reports. It knows no framework."""
