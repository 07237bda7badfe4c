"""Rule 110: read binary strings, then tell one cell of each after t steps of the automaton.

Source: arXiv 2605.26099, Figure 2. An example of `cells` = 4, `strings` = 2, one row per window:

    0 1 1 0      string 1: consolidated, then evicted
    1 0 0 1      string 2: consolidated, then evicted
    ? y1         predicted: targets y1 y2, the first cell of each string after `rollout_steps` steps

The prediction window starts with a query token and goes on with the labels so far, so every consolidated window is
exactly one string. Which cell will be asked is known in training, so at 0 steps one bit of each string is enough to
keep. With `asked` = "any" that is told after the strings are gone, by the number of a cell before each label, and all
cells have to be kept, whatever t is:

    c2 y1 c0     predicted: targets y1 at c2, y2 at c0

With `rollout_steps_drawn` every string draws a t of its own, and a token before its cells tells it, since a sleep that
did not know t would have to prepare for every t, and no string would need more of it than another:

    t2 0 1 1 0   string 1, of which a cell after 2 steps is asked; a window is a token longer

What fixes an answer is held out (`tasks.rule110_views`), so different t read different strings. Packed strings are
integers whose highest bit (of `cells`) is the first, leftmost cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from tasks import rng, rule110_views
from tasks.automaton import evolve as evolve
from tasks.automaton import first_cell_ones as first_cell_ones
from tasks.automaton import seen_cells, unpack
from tasks.base import Episode, Task, Tokens, check_whole, nearest
from tasks.memories import Memory, rollouts
from tasks.rule110_episodes import QUERY as QUERY
from tasks.rule110_episodes import episodes, rollout_drawings
from tasks.rule110_views import split_of as split_of

if TYPE_CHECKING:
    from torch import Tensor

QUESTIONS = ("first", "any")


@dataclass(frozen=True, kw_only=True)
class Rule110(Task):
    """One cell of each of several binary strings after t steps of Rule 110.

    The strings of an example are independent; a split owns the light cones that fix the asked cells, or whole strings
    where t is so large that the cone closes the ring, and also where t is at most 2 and the cones are too few. There
    every cone is in every split, and the task is no test of computation: `held_out` says which it is.

    Attributes:
        cells: Cells of a string, a token each.
        strings: Strings of an example, and its answers.
        rollout_steps: t: a cell after this many steps is asked.
        boundary: "periodic": the string is a ring.
        window_tokens: L in whole strings; 0 for one string.
        asked: "first": always the first cell, as in the paper; "any": one drawn for each string, told after eviction.
        rollout_steps_drawn: Values of t, of which each string draws one, told before its cells; one that is named twice
            is drawn twice as often. `rollout_steps` is then the largest t that there is a token for. At each t an
            example is right when all of its strings of that t are.
    """

    name: ClassVar[str] = "rule110"
    version: ClassVar[int] = 2
    axis: ClassVar[str] = "rollout_steps"
    history: ClassVar[Mapping[int, str]] = {1: "whole strings held out"}
    variations: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"asked": "any"})

    cells: int = 24
    strings: int = 4
    rollout_steps: int = 4
    boundary: str = "periodic"
    window_tokens: int = 0
    asked: str = "first"
    rollout_steps_drawn: tuple[int, ...] = field(default=(), metadata={"later": True})

    def __post_init__(self) -> None:
        """Refuse what has no exact chance, does not fit, or is trivial."""
        check_whole("cells", self.cells, 3, 24, "chance is exact by enumeration of all strings")
        check_whole("strings", self.strings, 1, self.cells, "their labels must fit in one window")
        check_whole("rollout_steps", self.rollout_steps, 0, most=256)
        for steps in self.rollout_steps_drawn:
            why = "rollout_steps is the largest t that has a token"
            check_whole("rollout_steps_drawn", steps, 0, self.rollout_steps, why)
        if self.boundary != "periodic":
            raise ValueError(
                f"boundary must be 'periodic'; given {self.boundary!r} (with a fixed-zero edge the first "
                "cell after t steps is the OR of cells 0..t, and a constant guess of 1 is nearly always right)"
            )
        if self.asked not in QUESTIONS:
            raise ValueError(nearest(self.asked, QUESTIONS, kind="value of asked"))
        check_whole("window_tokens", self.window_tokens, 0, most=2**20)
        string = f"a string of {self.cells} cells" + " and a token for t" * self.t_tokens
        if self.string_tokens > self.window:
            raise ValueError(f"{string} does not fit in a window of {self.window} tokens")
        if self.window % self.string_tokens:
            raise ValueError(
                f"a window of {self.window} tokens cuts {string}; allowed: multiples of {self.string_tokens}"
            )
        if self._read_tokens % self.window:
            raise ValueError(
                f"{self.strings} strings of {self.cells} cells do not fill whole windows of {self.window} tokens: "
                "the labels would share a window with a string"
            )
        if self._asking_tokens > self.window:
            raise ValueError(
                f"{self.strings} strings take {self._asking_tokens} tokens to ask with asked='any', a cell and a label "
                f"each but for the last label, and must fit in one window of {self.window} tokens; allowed here: "
                f"1..{(self.window + 1) // 2} strings"
            )

    @property
    def vocab_size(self) -> int:
        """Two cell values, the query token; the name of every cell, where any is asked; every t, where it is told."""
        return self.first_t + self.t_tokens * (self.rollout_steps + 1)

    @property
    def first_t(self) -> int:
        """The token of t = 0, where t is told."""
        return 3 + self.cells * (self.asked == "any")

    @property
    def t_tokens(self) -> int:
        """Tokens that tell t, of each string."""
        return int(bool(self.rollout_steps_drawn))

    @property
    def string_tokens(self) -> int:
        """Tokens of each string."""
        return self.t_tokens + self.cells

    @property
    def window(self) -> int:
        """L: `window_tokens`, or one string."""
        return self.window_tokens or self.string_tokens

    @property
    def _read_tokens(self) -> int:
        """Tokens of the strings."""
        return self.strings * self.string_tokens

    @property
    def _asking_tokens(self) -> int:
        """Tokens of the prediction: the query and all labels but the last, or as many names of cells as labels."""
        return self.strings if self.asked == "first" else 2 * self.strings - 1

    @property
    def seq_len(self) -> int:
        """T: the strings, then what asks for their cells, and all labels but the last."""
        return self._read_tokens + self._asking_tokens

    @property
    def answers(self) -> int:
        """One per string."""
        return self.strings

    @property
    def levels(self) -> tuple[int, ...]:
        """t, or every one that is drawn."""
        return tuple(sorted({*self.rollout_steps_drawn})) or (self.rollout_steps,)

    @property
    def landmarks(self) -> tuple[int, ...]:
        """No step, and the doublings up to the paper's deepest; or every t that is drawn."""
        return self.levels if self.t_tokens else (0, 1, 2, 4, 8, 16, 32)

    def at(self, level: int) -> Self:
        """See `Task.at`; where t is told, in the same tokens."""
        return replace(self, rollout_steps_drawn=(level,)) if self.t_tokens else super().at(level)

    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Best constant guess after `difficulty` steps: max(p, 1 - p) per string, its power for all; see `joint_share`.

        p is the share of cells that are 1 over all strings, which is exactly how often examples have a 1 for an answer
        where light cones are held out; over the whole strings of one split it differs by sampling (below 0.001 for 24
        cells, more for a handful of cells).
        """
        self.check_answer(answer)
        p = first_cell_ones(self.cells, difficulty) / (1 << self.cells)
        one = max(p, 1 - p)
        return one if answer is not None else self.joint_share(one, difficulty)

    def joint_share(self, one: float, difficulty: int) -> float:
        """How often all strings of an example are right if `one` is how often each is, independently.

        Where t is drawn, all of those of this t, in examples that have one: a binomial number of strings.
        """
        share = self.rollout_steps_drawn.count(difficulty) / len(self.rollout_steps_drawn) if self.t_tokens else 0
        other = 1 - (share or 1)  # of a t that is not drawn what a task of it alone would say
        none = float(other**self.strings)
        return float(((other + (1 - other) * one) ** self.strings - none) / (1 - none))

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """`cells_w`: the best predictor that sees only the w cells around each asked one, exact over all strings.

        Where cones are held out a table of those cells, fitted to training, gets less.

        `table`: one of the light cones met in training, right where all of them can be met: where none is held out.
        """
        shares = seen_cells(self.cells, difficulty)
        scores = {f"cells_{w}": self.joint_share(p, difficulty) for w, p in shares.items()}
        return scores if self.held_out(difficulty) else scores | {"table": 1.0}

    def held_out(self, difficulty: int) -> str:
        """Light cones, or whole strings where those close the ring; empty up to 2 steps, for want of cones."""
        if not rule110_views.are_held_out(self.cells, difficulty):
            return ""
        width = rule110_views.reach(self.cells, difficulty)
        return f"{'whole strings' if width == self.cells else 'light cones'} of {width} cells"

    def determinants(self, episode: Episode) -> rng.Words:
        """Hashes [B, strings] of t and of the cells around the asked one that fix it."""
        rings, steps = self._rings(episode.inputs), self.steps_of(episode.inputs)
        return rule110_views.each(steps, lambda t, at: rule110_views.codes(rings[at], self.cells, t, of_split=False))

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """Every cell of each string, and where that is what is asked the first one by itself, after 0..t steps."""
        strings = self.cells_of(episode.inputs)
        chances = [self.chance(step, 0) for step in range(self.rollout_steps + 1)]
        return rollouts(strings, chances, first=self.asked == "first")

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """Workings: of a window that is read its rows after 1..t steps, t L tokens; of the prediction the light cones.

        The cone of a first cell has its row after s steps as far as t - s cells to both sides, once round at most. Of
        cells that are told only then, `asked` = "any", a prediction has none; nor has anything where strings draw a t.
        """
        if super().notes(kind, episode) or kind != "workings" or not self.rollout_steps or self.t_tokens:
            return {}
        strings = self._states(episode.inputs)
        rows = [evolve(strings, self.cells, step) for step in range(1, self.rollout_steps + 1)]
        rows = [unpack(row, self.cells).astype(np.int64) for row in rows]  # [B, strings, cells] each
        windows = np.stack([row.reshape(len(row), -1, self.window) for row in rows], axis=2)  # [B, W, t, L]
        notes = {number: of.reshape(len(of), -1) for number, of in enumerate(windows.swapaxes(0, 1))}
        if self.asked == "first":
            sides = [min(left, self.cells // 2) for left in reversed(range(self.rollout_steps))]
            cones = [row[..., np.arange(-s, s + 1)[: self.cells]] for row, s in zip(rows, sides, strict=True)]
            notes[len(notes)] = np.concatenate(cones, axis=2).reshape(len(strings), -1)
        return notes

    def word(self, token: int) -> str:
        """The query token is a question mark; c0, c1, ... name cells, and t0, t1, ... tell t."""
        if token <= QUERY:
            return "?" if token == QUERY else str(token)
        return f"c{token - 1 - QUERY}" if token < self.first_t else f"t{token - self.first_t}"

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = the strings, then what asks for cells and all labels but the last."""
        return episodes(self, split, indices, key)

    def tensors(self, split: str, indices: "Tensor", seed: int = 0) -> "tuple[Tensor, Tensor] | None":
        """See `Task.tensors`; none where strings draw a t."""
        from tasks.rule110_tensors import examples

        return None if self.t_tokens else examples(self, split, indices, seed)

    def cells_of(self, inputs: Tokens) -> Tokens:
        """The cells [B, strings, cells] of tokens [B, T]."""
        return inputs[:, : self._read_tokens].reshape(-1, self.strings, self.string_tokens)[..., self.t_tokens :]

    def steps_of(self, inputs: Tokens) -> int | Tokens:
        """t, of each string [B, strings] where it is told."""
        return (
            inputs[:, : self._read_tokens : self.string_tokens] - self.first_t if self.t_tokens else self.rollout_steps
        )

    def _states(self, inputs: Tokens) -> rng.Words:
        """The packed strings [B, strings] of tokens [B, T]."""
        return (self.cells_of(inputs) @ (1 << np.arange(self.cells)[::-1])).astype(np.uint64)

    def _rings(self, inputs: Tokens) -> rng.Words:
        """The packed strings [B, strings] of tokens [B, T], each read from its asked cell on."""
        strings = self._states(inputs)
        if self.asked == "first":
            return strings
        return rule110_views.turn(strings, inputs[:, self._read_tokens :: 2] - 1 - QUERY, self.cells)

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, then the roll-outs of its strings side by side."""
        lines = [super().example(index, split, seed), ""]
        return "\n".join([*lines, *rollout_drawings(self, self.episodes(split, [index], seed).inputs)])


if __name__ == "__main__":
    from tasks.command import main

    main(Rule110)
