"""Turns a dropped object into one commit in Pachyderm."""

from functions.ingest.handler import ingest

FUNCTIONS = (ingest,)
