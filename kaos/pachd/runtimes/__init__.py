"""Where user code runs: one process tree for each attempt at a datum, isolated as well as the machine allows."""
