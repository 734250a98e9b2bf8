"""Training under Lightning: the system, the data, the command line."""
