"""Turns a dropped object into one commit in Pachyderm."""
