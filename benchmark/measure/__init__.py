"""Measurements beside rows: clocks, speed of commits, probes of fast weights, audits of models."""
