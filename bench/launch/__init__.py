"""Where trials run: each in a process of its own, on this machine or on those of a cluster."""
