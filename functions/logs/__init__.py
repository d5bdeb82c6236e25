"""Turns a job into lines, a collected log and the run's final state."""

from functions.logs.handler import collect, follow

FUNCTIONS = (follow, collect)
