"""Turns a source commit into an image."""

from functions.build.handler import build

FUNCTIONS = (build,)
