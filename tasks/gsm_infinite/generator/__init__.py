"""The generator of problem graphs: what to draw (`Shape`), drawing a batch, and what is known of its structure."""

from tasks.gsm_infinite.generator.batch import draw
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.generator.statistics import statistics

__all__ = ["Shape", "draw", "statistics"]
