"""The harness: trains cells, writes rows, reads rows. It imports `tasks` and `baselines`; they never import it."""
