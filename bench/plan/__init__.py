"""What is to be run: trials, protocols and sweeps, validated once and hashed."""
