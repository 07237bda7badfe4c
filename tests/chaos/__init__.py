"""Sweeps that are disturbed at random moments, in random ways, and then run once in peace: `make chaos`.

Nothing may be lost or doubled: the tables must equal, byte for byte and times aside, those of a sweep that nobody
disturbed; no process is left, and no file but those that the sweep set aside by name. Everything follows from a seed,
except at which instruction a signal finds a process.
"""
