"""Compact GSM-Infinite: the problems of the medium and hard subsets in a vocabulary small enough to learn from scratch.

    <bos> Q T p2 ? N k3 p2 4 ; N k3 p5 N k3 p2 ; ... A 4     read in windows; the last one is predicted
                                                     4       the target at A, one token

Graphs and operations as in English, with fewer questions for totals and fewer numbers (`generator.forms`). A problem
is filled up with sentences that nothing asks for, to a length that is uniform over a range. Source: arXiv 2605.26099,
Figures 4 and 5; the ratios of lengths are the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.base import IGNORE, Episode, Tokens, check_whole
from tasks.gsm_infinite import workings
from tasks.gsm_infinite.compact_tokens import (
    FILLER_KINDS,
    FIRST_NUMBER,
    ID,
    KINDS,
    MOST_NUMBER,
    PAD,
    PLACES,
    VOCABULARY,
    Slots,
    core_tokens,
    names,
    sentences,
)
from tasks.gsm_infinite.generator import draw
from tasks.gsm_infinite.generator.shape import Shape
from tasks.gsm_infinite.generator.statistics import statistics
from tasks.gsm_infinite.graphs import NONE, VALUE_SENTENCE, Graphs
from tasks.gsm_infinite.operations import DETERMINANT, CountedTask, floors_of, lone_number, words_of
from tasks.gsm_infinite.workings import CompactSource
from tasks.memories import Memory, answers_by_step
from tasks.ragged import ABSENT, pack

_FRAME = 8  # most tokens that are no sentence: <bos> Q, a name of 3, ?, A, the answer
_SHORTEST, _LONGEST = 6, 16  # tokens of a sentence
_SAMPLE = 4096  # training problems that floors are measured on


@dataclass(frozen=True, kw_only=True)
class GSMCompact(CountedTask):
    """The value of a quantity of a problem that was read and, but for its last window, evicted.

    Held out by content: the core problem, with names, order and filler removed, belongs to one split.

    Attributes:
        subset: "medium" or "hard".
        mode: "forward" or "reverse".
        least_operations: Fewest operations of a problem; uniform from there,
        most_operations: to here.
        most_tokens: T: most tokens of a problem, question included.
        least_tokens: A problem is filled up to a length that is uniform from here to `most_tokens`.
        window_tokens: L.
        filler: Fill up with sentences of other kinds and places; else only what the problem has by itself is read.
        question_first: The question stands before the sentences, as in the paper; else behind them.
    """

    name: ClassVar[str] = "gsm_compact"
    version: ClassVar[int] = 1

    most_tokens: int = 300
    least_tokens: int = 192
    window_tokens: int = 182
    filler: bool = True

    def __post_init__(self) -> None:
        """Refuse what does not fit or cannot be made."""
        super().__post_init__()
        check_whole("most_tokens", self.most_tokens, 48, why="shorter ones have room for too few sentences")
        check_whole("most_tokens", self.most_tokens, 48, most=2**17)
        check_whole("least_tokens", self.least_tokens, 1, self.most_tokens, "most_tokens")
        check_whole(
            "window_tokens",
            self.window_tokens,
            2,
            self.most_tokens - 1,
            "below most_tokens, so that something is evicted",
        )
        self._shape.check(np.array([self.least_operations, self.most_operations]))

    @property
    def _shape(self) -> Shape:
        """Cores of at most as many sentences as fit: a sentence has about 9 tokens."""
        return Shape(
            subset=self.subset,
            mode=self.mode,
            kinds=KINDS,
            places=PLACES,
            max_value=MOST_NUMBER,
            max_stated=min(24, (self.most_tokens - _FRAME) // 9),
            filler_kinds=FILLER_KINDS,
        )

    @property
    def vocab_size(self) -> int:
        """Signs, roles, kinds, places, numbers."""
        return len(VOCABULARY)

    @property
    def window(self) -> int:
        """L: `window_tokens`."""
        return self.window_tokens

    @property
    def seq_len(self) -> int:
        """T: `most_tokens`."""
        return self.most_tokens

    @property
    def _last_window(self) -> int:
        """Where the window begins that is predicted."""
        return (self.most_tokens - 2) // self.window * self.window

    def measured_floors(self) -> dict[str, float]:
        """On 4,096 training problems; the question's kind is the role of the quantity it asks for."""
        return dict(_floors(self))

    def memories(self, episode: Episode) -> tuple[Memory, ...]:
        """The answers to problems of each number of operations; nothing where they are asked after they were read.

        Values by name would be another probe, but a name is in too few problems to fit one.
        """
        if not self.question_first:
            return ()
        asked, steps = episode.targets.max(axis=1) - FIRST_NUMBER, episode.difficulty.max(axis=1)
        return answers_by_step(asked, steps, self.levels, MOST_NUMBER + 1)

    def word(self, token: int) -> str:
        """The token's word; an underscore for padding."""
        return VOCABULARY[token]

    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """Examples `indices` [B]: inputs [B, T] = question, sentences, the sign of the answer, padding on one side."""
        graphs, length = self._draw(split, indices, key)
        text, (first, last) = sentences(graphs), self._frame(graphs)
        before = np.count_nonzero(first != ABSENT, axis=1)
        frame = before + np.count_nonzero(last != ABSENT, axis=1)
        text[~self._kept_sentences(graphs, text, length - frame, self.most_tokens - frame)] = ABSENT
        slots = np.concatenate([first, text.reshape(len(text), text.shape[1] * text.shape[2]), last], axis=1)
        present = slots != ABSENT
        ends = np.count_nonzero(present, axis=1)  # how long each text is
        # Padding is behind the text where every text reaches the window that is predicted, else before it.
        behind = self.filler and min(self.least_tokens, self.most_tokens - _LONGEST) - 2 >= self._last_window
        start = np.zeros_like(ends) if behind else self.most_tokens - ends
        inputs = pack(slots, present, self.most_tokens, PAD, right=not behind)
        targets = np.full_like(inputs, IGNORE)
        answer, difficulty = np.full_like(inputs, -1), np.full_like(inputs, -1)
        tokens = np.count_nonzero(text != ABSENT, axis=2)
        begins = (start + before)[:, None] + np.cumsum(tokens, axis=1) - tokens  # of each sentence
        at_end = np.arange(len(inputs)), start + ends - 2
        targets[at_end] = graphs.answer + FIRST_NUMBER
        answer[at_end] = 0
        difficulty[at_end] = graphs.operations
        return Episode(
            inputs=inputs,
            targets=targets,
            window=self.window,
            difficulty=difficulty,
            answer=answer,
            content=graphs.content[:, None],
            facts={
                **statistics(graphs),
                "text_tokens": ends,
                "visible": self._visible_share(graphs, begins),
                "lone_number": lone_number(graphs) == graphs.answer,
                DETERMINANT: words_of(graphs.determinant.tolist()),
                "question": np.take_along_axis(graphs.role, graphs.asked[:, None], axis=1)[:, 0],
            },
            source=CompactSource(graphs=graphs, ends=begins + tokens),
        )

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """Workings of windows that are read: needed quantities with their values, as far as they are known by then."""
        if super().notes(kind, episode) or kind != "workings" or not self.worked:
            return {}
        borders = range(self.window, self._last_window + 1, self.window)
        return workings.compact(episode.source, borders, self.most_operations, PAD)

    def graphs(self, split: str, count: int) -> Graphs:
        """The first problems of a split without filler, of a task of one operation count."""
        key, operations = self.key(split), self.least_operations
        return draw(self._shape, operations, split, np.arange(count), key, accept=self._fits)[0]

    def _draw(self, split: str, indices: Tokens, key: np.uint64) -> tuple[Graphs, Tokens]:
        """The problems, with enough filler to reach the least length, and how long each is to be [B]."""
        words = rng.words(key, indices, 2)
        operations = self.least_operations + rng.integers(words[:, 0], len(self.levels))
        length = self.least_tokens + rng.integers(words[:, 1], self.most_tokens - self.least_tokens + 1)
        most = -(-self.least_tokens // _SHORTEST) if self.filler else 0
        graphs, _ = draw(self._shape, operations, split, indices, key, filler=most, accept=self._fits)
        return graphs, length

    def _fits(self, graphs: Graphs) -> NDArray[np.bool_]:
        """Whether the core and its question fit in the text."""
        return core_tokens(graphs) + _FRAME <= self.most_tokens

    def _kept_sentences(self, graphs: Graphs, text: Slots, least: Tokens, most: Tokens) -> NDArray[np.bool_]:
        """Which sentences [B, S] stand in the text: the core's, and filler to between `least` and `most` [B] tokens."""
        first = np.argmax(graphs.place >= graphs.filler_place, axis=1)[:, None]  # filler is numbered after the core
        is_filler = np.take_along_axis(graphs.place, np.maximum(graphs.order, 0), axis=1) >= graphs.filler_place
        is_filler &= graphs.order >= 0
        tokens = np.count_nonzero(text != ABSENT, axis=2)
        core = (tokens * ~is_filler).sum(axis=1)[:, None]
        rows, places = np.nonzero(is_filler)
        number = (graphs.order - first)[rows, places]
        by_number = np.zeros((len(text), int(number.max(initial=-1)) + 1), dtype=np.int64)
        by_number[rows, number] = tokens[rows, places]
        until = core + np.cumsum(by_number, axis=1)
        added = (until - by_number < least[:, None]) & (until <= most[:, None])
        mask: NDArray[np.bool_] = (graphs.order != NONE) & ~is_filler
        mask[rows, places] = added[rows, number]
        return mask

    def _frame(self, graphs: Graphs) -> tuple[Slots, Slots]:
        """Tokens before and behind the sentences, [B, slots] each."""
        name = names(graphs)[np.arange(len(graphs.asked)), graphs.asked]

        def sign(word: str) -> Slots:
            return np.full((len(name), 1), ID[word], dtype=np.int16)

        question = np.concatenate([sign("Q"), name, sign("?")], axis=1)
        answer = np.concatenate([sign("A"), (graphs.answer + FIRST_NUMBER)[:, None].astype(np.int16)], axis=1)
        if self.question_first:
            return np.concatenate([sign("<bos>"), question], axis=1), answer
        return sign("<bos>"), np.concatenate([question, answer], axis=1)

    def _visible_share(self, graphs: Graphs, begins: Tokens) -> NDArray[np.float64]:
        """Share [B] of the needed sentences that begin in the window that is predicted; all do at `begins` [B, S]."""
        needed = np.take_along_axis(graphs.needed, np.maximum(graphs.order, 0), axis=1) & (graphs.order >= 0)
        needed |= graphs.order == VALUE_SENTENCE
        share: NDArray[np.float64] = (needed & (begins >= self._last_window)).sum(axis=1) / needed.sum(axis=1)
        return share

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, then what the answer needs, step by step, with its values."""
        lines = [super().example(index, split, seed), ""]
        graphs, _ = self._draw(split, np.array([index]), self.key(split, seed))
        named, text, order = names(graphs)[0], sentences(graphs)[0], graphs.order[0].tolist()

        def words(slots: Slots) -> str:
            return " ".join(self.word(token) for token in slots[slots != ABSENT].tolist())

        needed = np.flatnonzero(graphs.needed[0]).tolist()  # what a quantity uses comes before it
        steps = [(q, q) for q in needed] + [(int(graphs.given[0]), VALUE_SENTENCE)] * (VALUE_SENTENCE in order)
        for q, place in steps:
            sentence = text[order.index(place)] if place in order else named[q]
            right = words(sentence[3:]).removesuffix(" ;") or "the total"
            lines.append(f"{f'{words(named[q])} = {right}':<60} {graphs.value[0, q]:>3}")
        return "\n".join([*lines, f"answer {graphs.answer[0]}"])


@cache
def _floors(task: GSMCompact) -> tuple[tuple[str, float], ...]:
    """The floors of a task of one level."""
    episode = task.episodes("train", np.arange(_SAMPLE))
    return tuple(floors_of(episode.targets.max(axis=1), episode.facts["question"]).items())


if __name__ == "__main__":
    from tasks.command import main

    main(GSMCompact)
