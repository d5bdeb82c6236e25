"""The embedded stack: real servers on this machine, started, watched and stopped as one."""
