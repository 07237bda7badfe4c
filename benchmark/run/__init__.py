"""Training cells: one, a sweep of them, and the evidence."""
