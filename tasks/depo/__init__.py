"""Depo: the node k hops along a cycle that was read and evicted. `python -m tasks.depo` draws an example."""

from tasks.depo.paths import answer as answer
from tasks.depo.task import Depo as Depo
