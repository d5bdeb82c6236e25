"""Hyperparameters as a commit holds them: one file for each combination (shared/grids.py tells what may be written)."""

from shared import grids


def combinations(content: bytes) -> dict[str, bytes]:
    """File name → canonical JSON of each combination. Raises Reject `params.…`."""
    return grids.expand(grids.read(content))
