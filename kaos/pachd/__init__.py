"""The embedded engine: Pachyderm's API on one machine."""
