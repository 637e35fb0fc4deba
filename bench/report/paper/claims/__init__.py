"""The claims: what the paper and this project state, judged on a sweep's records."""
