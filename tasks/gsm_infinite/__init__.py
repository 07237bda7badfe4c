"""GSM-Infinite: procedural grade-school problems, as graphs, as English text and as compact tokens."""

from tasks.gsm_infinite.reading import UnsolvableProblem
from tasks.gsm_infinite.solver import Solution, solve

__all__ = ["Solution", "UnsolvableProblem", "solve"]
