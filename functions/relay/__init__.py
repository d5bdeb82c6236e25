"""Turns what Pachyderm completes into events, and makes up for events that were never told."""

from functions.relay.relay import run
from functions.relay.sweep import keep_sweeping

__all__ = ["keep_sweeping", "run"]
