"""What can be run: cells as values, the grids and suites that hold them, what they cost."""
