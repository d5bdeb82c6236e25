"""Turns what Pachyderm completes into events."""

from functions.relay.relay import run

__all__ = ["run"]
