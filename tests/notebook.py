"""The cells of a notebook, as a script: a model of its own, a run, a figure, a claim, a comparison.

`tests/test_api.py` runs it as a notebook would: from top to bottom, in a folder of its own, in a running event loop.
"""

# %%
from dataclasses import dataclass
from typing import ClassVar

from baselines.hybrid import Hybrid
from benchmark import check, draw, read, suite, verify

# %%
plan = suite("quick", "tiny", rollout_steps=[0], seeds=[0], tokens=2000, test_examples=64)
rows = plan.run("mine")
print(rows.select("sleep_passes", "tokens_seen", "exact_match").tail(2))

# %%
draw(rows, "accuracy_by_passes")


# %%
@dataclass(frozen=True, kw_only=True)
class Narrow(Hybrid):
    """The hybrid with eight features: a model of this notebook alone."""

    name: ClassVar[str] = "narrow"
    version: ClassVar[int] = 1
    d_model: int = 8


own = suite("quick", "tiny", model=Narrow, rollout_steps=[0], seeds=[0], tokens=2000, test_examples=64).run("own")

# %%
both = read(["mine", "own"])
print(sorted(both["model"].unique()))

# %%
print(verify("mine", "storage-solved")[0].verdict)

# %%
print({comparison.verdict for comparison in check(rows, "mine")})
