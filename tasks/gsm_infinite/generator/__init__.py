"""The generator of problem graphs: what to draw (`Shape`), drawing a batch, and what is known of its structure.

With `Shape.published`, as problems in words have it, graphs look like those of the public generator: chain depth and
binary operations, share of sentences that say a number, of questions for totals, of totals among what is not needed,
and answers are within a tenth of theirs or, where theirs are known from a dozen problems only, within what these tell.
What a reader would still see, and why (tests/test_gsm_profile.py has the numbers):

- Hard problems have 14 sentences at every number of operations. Theirs have 18, 18, 9, 17 and 14 at 1, 2, 4, 6 and 8,
  which follows no rule that could be named; the mean is alike.
- Of medium problems of 2 operations .56 of the sentences say a number, of theirs .67 (67 sentences of 14 problems);
  at 4 operations it is .54 to .50. One table serves both.
- Filler of theirs is at 7 to 10 places, ours at 5: a filler place holds each of 48 kinds before the next one begins.

Compact problems keep the first weights, under which their committed results were made.
"""

from tasks.gsm_infinite.generator.batch import draw
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.generator.statistics import statistics

__all__ = ["Shape", "draw", "statistics"]
