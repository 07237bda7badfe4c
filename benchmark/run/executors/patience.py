"""How long a cell may go without a step before it counts as hanging, and how long it may take to save."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LEAST_S = 600.0
"""A cell without a step for less than that never counts as hanging."""

START_S = 600.0
"""How long a process may take until it says its first word: a machine under load imports slowly."""

TIMES = 20
"""It may go without one for so many times what its steps, tests included, should take or have taken."""

FLOPS_PER_S = 1e9
"""What any core does, so that the work of a step is at most so many seconds: a tenth of an ordinary core."""

STOP_LEAST_S = 10.0
"""How long a cell that is asked to stop may take at least until it has saved."""

STOP_TIMES = 3
"""It may take so many times the longest that it went without a step, as it may be in the middle of a long one."""

SILENCE_S = 30.0
"""A worker that says nothing for longer, not even that it is there, is stopped or lets no other thread run."""


@dataclass(kw_only=True)
class Patience:
    """The clock of one cell: what was heard of it, and whether that is too long ago."""

    cell_timeout: float | None = None
    """Seconds that the cell may take from its start; None for as long as it goes on."""
    least_s: float = LEAST_S
    clock: Callable[[], float] = time.monotonic
    spoke: bool = False
    """Whether it has said anything."""
    step: int | None = None
    """The last step that was heard of."""
    work_s: float = 0.0
    """What a step with its test should take, once the worker has counted it."""
    longest_s: float = 0.0
    """The longest that it went from one step to the next."""
    start: float = field(init=False)
    last_step: float = field(init=False)
    last_word: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.start = self.last_step = self.last_word = self.clock()

    def hear(self, event: dict[str, object]) -> None:
        """Take over what the worker said."""
        self.last_word = self.clock()
        if not self.spoke:
            self.spoke, self.last_step = True, self.last_word
        if event["event"] == "counted":
            self.work_s = float(event["step_flops"]) / FLOPS_PER_S  # type: ignore[arg-type]
            self.last_step = self.last_word
        elif event["event"] == "progress":
            if self.step is not None:
                self.longest_s = max(self.longest_s, self.last_word - self.last_step)
            self.step, self.last_step = int(event["step"]), self.last_word  # type: ignore[call-overload]

    @property
    def overdue(self) -> str | None:
        """Why it counts as hanging; None while it does not."""
        now = self.clock()
        if self.cell_timeout is not None and now - self.start > self.cell_timeout:
            return f"not done after {now - self.start:.0f} s (--cell-timeout {self.cell_timeout:g}){self._where(now)}"
        limit = max(self.least_s, TIMES * max(self.work_s, self.longest_s)) if self.spoke else START_S
        if now - self.last_step > limit:
            return f"no step for {now - self.last_step:.0f} s{self._where(now)}"
        return None

    def stop_s(self, most: float) -> float:
        """How long it may take to save, at most so long."""
        return min(most, max(STOP_LEAST_S, STOP_TIMES * self.longest_s))

    def _where(self, now: float) -> str:
        there = "before its first step" if self.step is None else f"after step {self.step}"
        silent = now - self.last_word > SILENCE_S
        return f", {there}" + (f"; its process has said nothing for {now - self.last_word:.0f} s" if silent else "")
