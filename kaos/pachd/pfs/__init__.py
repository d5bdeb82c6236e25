"""Versioned files: repos, branches, commits, and the propagation of one commit to everything downstream."""
