"""Pipelines: jobs made of commits, datums made of files, and the scheduler that runs them."""
