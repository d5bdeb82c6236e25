"""The programs a person starts; the only place that sees all functions."""
