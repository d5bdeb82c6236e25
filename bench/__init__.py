"""Measures what kaos adds to the bare script, in one run with the bare script itself: `make bench`."""
