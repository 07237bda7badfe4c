"""Blocks and optimizer in C: the same numbers but for rounding, several times as fast on a CPU."""
