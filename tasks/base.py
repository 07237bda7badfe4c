"""The contract between tasks and everything that reads them: `Episode` and `Task`.

A new task is one frozen dataclass in one file (its fields are its configuration, its methods generate) and
one line in `tasks.TASKS`. It owns its truths: difficulty axis, version, exact chance, a drawn example.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks import rng
from tasks.checks import check_whole as check_whole
from tasks.checks import nearest as nearest

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.memories import Memory

Tokens = NDArray[np.int64]

_LINE = 100  # characters of a line of a drawn window
IGNORE = -100  # a target without loss; the value torch's cross-entropy ignores by default
SPLITS = tuple(rng.CLASSES)
NOTES = ("workings", "questions")
"""Kinds of notes: how the answers are worked out, and questions that might be asked."""


def non_defaults(settings: object) -> dict[str, Any]:
    """The fields of a settings dataclass that differ from their default, by name.

    What settings are known by, in streams of examples and in ids of cells, is made of these alone: a new option then
    leaves everything that does not use it as it was, committed results included. Changing a default changes what the
    same name means, and asks for a new version. A field that says where something lies (metadata "place") is left out
    too: beside it stands a digest of what lies there.
    """
    listed_fields = [f for f in fields(settings) if not f.metadata.get("place")]  # type: ignore[arg-type]
    return {f.name: value for f in listed_fields if (value := getattr(settings, f.name)) != f.default}


def strongest(shares: Mapping[str, float]) -> tuple[str, float] | None:
    """The shortcut that scores highest, which a score has to be above, and its score; None if none is known.

    Of `cells_w` of Rule 110 it is the widest, which sees all cells that matter but two; of equals the first by name.
    """
    return max(sorted(shares.items()), key=lambda item: item[1]) if shares else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """A batch of B examples of T tokens, in consecutive windows of L tokens (the last may be shorter).

    A window with no target is consolidated, then evicted; one with targets is predicted in a single pass.
    Which windows have targets is the same for all examples, so a batch needs no control flow per example.
    """

    inputs: Tokens  # [B, T] token ids, >= 0
    targets: Tokens  # [B, T] already shifted: targets[b, t] follows inputs[b, : t + 1]; IGNORE = no loss
    window: int  # L, in tokens
    difficulty: Tokens  # [B, T] value of the task's axis at each target, -1 where there is none
    answer: Tokens  # [B, T] which answer of the example a target belongs to, from 0; -1 where there is none
    content: rng.Words  # [B, C] hashes of what one split owns: equal contents have equal hashes, whatever the split
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # [B] or [B, answers]: what is known of each
    source: Any = None  # what a task makes notes from where tokens do not say it; nobody else looks

    def __post_init__(self) -> None:
        """Check that the four arrays agree."""
        shapes = [array.shape for array in (self.inputs, self.targets, self.difficulty, self.answer)]
        if self.inputs.ndim != 2 or len(set(shapes)) != 1:
            raise ValueError(f"inputs, targets, difficulty, answer must all be [B, T]; given {shapes}")
        for name, array in {"content": self.content, **self.facts}.items():
            if len(array) != len(self.inputs):
                raise ValueError(f"{name} must have a row per example, {len(self.inputs)}; given {array.shape}")


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A family of examples at one configuration.

    Example i of (name, version, configuration, seed, split) is a pure function of these: `episodes` hands
    `generate` the key of that stream. Whatever changes an example must be a field, or raise `version`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    axis: ClassVar[str]  # the quantity that is the difficulty, as in `Episode.difficulty`
    joint: ClassVar[bool] = True  # an example is right when all its answers are; False: each answer counts alone
    variations: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)  # settings that the gallery draws, each on the defaults
    history: ClassVar[Mapping[int, str]] = {}  # in a few words, what examples of an older version were

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of token ids."""

    @property
    @abstractmethod
    def window(self) -> int:
        """L: tokens per window."""

    @property
    @abstractmethod
    def seq_len(self) -> int:
        """T: tokens per example."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """Answers per example; an example is right when all are."""

    @property
    def levels(self) -> tuple[int, ...]:
        """The difficulties of held-out examples, easiest first; here the one that the configuration sets."""
        return (getattr(self, self.axis),)

    @property
    def landmarks(self) -> tuple[int, ...]:
        """Difficulties that the gallery and the tables of hardness show; a task of one level names more."""
        return self.levels

    def at(self, level: int) -> Self:
        """The same task with all examples, those of training included, at one difficulty."""
        return replace(self, **{self.axis: level})

    @abstractmethod
    def chance(self, difficulty: int, answer: int | None = None) -> float:
        """Exact match of a guess without any computation on what was read, the level that lift is counted from.

        On answer `answer`, or on the whole example (None); where `joint` is False, on any answer.
        """

    def floors(self, difficulty: int, answer: int | None = None) -> dict[str, float]:
        """Exact match of two predictors that have read nothing, arguments as for `chance`.

        `majority` always gives the most frequent answer; `question_only` sees the question. Both are the chance
        unless a task knows better.
        """
        return dict.fromkeys(("majority", "question_only"), self.chance(difficulty, answer))

    @abstractmethod
    def generate(self, split: str, indices: Tokens, key: np.uint64) -> Episode:
        """The examples `indices` [B] (>= 0) of a valid split, from the stream `key` (as in `rng.words`)."""

    def shortcuts(self, difficulty: int) -> dict[str, float]:
        """Exact match on the whole example, by name, of predictors that read but do not compute what the task asks.

        A score counts as computation only where it is above them. Empty unless a task knows some.
        """
        return {}

    def determinants(self, episode: Episode) -> rng.Words | None:
        """Hashes [B, answers] of the smallest part of what was read that fixes each answer, its question included.

        Equal hashes have equal answers in every split, so a table of those met in training answers what it has met.
        0 where an example has no such answer; None where a task does not say.
        """
        return None

    def held_out(self, difficulty: int) -> str:
        """What fixes an answer and is in one split alone, in words: "light cones of 13 cells".

        Empty where that part is in every split, so that a table of it passes: there a task asks for storage alone, or
        `shortcuts` gives what the table scores.
        """
        return ""

    def check_answer(self, answer: int | None) -> None:
        """Raise ValueError unless `answer` is None (the whole example) or the number of an answer."""
        if answer is not None:
            check_whole("answer", answer, 0, self.answers - 1)

    def memories(self, episode: Episode) -> "tuple[Memory, ...]":
        """What a memory may hold of the windows that examples of this task read; nothing unless a task says so.

        Probes of fast weights (`bench probe`) look for it: what was stored, and what follows after each step.
        """
        return ()

    def notes(self, kind: str, episode: Episode) -> Mapping[int, Tokens]:
        """What a teacher would write beside the windows of an episode, for models that learn from it.

        Tokens [B, M] by the index of the window, from 0: of a window that is read, what follows from it; of one that is
        predicted, what leads to its answers. Nothing unless a task says so. Given in training; no score is with them.

        Args:
            kind: One of `NOTES`.
            episode: Examples of this task; equal examples have equal notes.
        """
        if kind not in NOTES:
            raise ValueError(nearest(kind, NOTES, kind="kind of notes"))
        return {}

    def word(self, token: int) -> str:
        """How a token is drawn for a human."""
        return str(token)

    def episodes(self, split: str, indices: ArrayLike, seed: int = 0) -> Episode:
        """The examples `indices` [B] of a split and data seed, in the order asked, all >= 0.

        Raises:
            ValueError: unknown split, negative seed, or indices that are not one row of whole numbers >= 0.
        """
        key = self.key(split, seed)
        rows = np.asarray(indices)
        if rows.ndim != 1 or (rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0)):
            raise ValueError(f"indices must be one row of whole numbers >= 0; given {indices!r}")
        return self.generate(split, rows.astype(np.int64), key)

    def tensors(self, split: str, indices: "Tensor", seed: int = 0) -> "tuple[Tensor, Tensor] | None":
        """Inputs and targets [B, T] of `episodes`, made on the device of `indices` [B], no value read back; or None."""
        return None

    def key(self, split: str, seed: int = 0) -> np.uint64:
        """The stream of a split and data seed; ValueError as for `episodes`."""
        if split not in SPLITS:
            raise ValueError(nearest(split, SPLITS, kind="split"))
        check_whole("seed", seed, 0)
        return rng.stream(self.name, self.version, non_defaults(self), seed, split)

    @property
    def settings_in_words(self) -> str:
        """Every setting and its value, but those that came later and are not used."""
        named = [f.name for f in fields(self) if not f.metadata or f.name in non_defaults(self)]
        return ", ".join(f"{name}={getattr(self, name)}" for name in named)

    def example(self, index: int = 0, split: str = "train", seed: int = 0) -> str:
        """One example drawn for a human: its windows, and under a predicted window its targets."""
        check_whole("index", index, 0)
        episode = self.episodes(split, [index], seed)
        inputs, targets, hardest = episode.inputs[0], episode.targets[0], int(episode.difficulty.max())
        lines = [
            f"{self.name} version {self.version}: {self.settings_in_words}",
            f"{split} example {index}, seed {seed}: {self.seq_len} tokens in windows of {self.window}, "
            f"chance {self.chance(hardest):.3g} at {self.axis} {hardest}",
            *self._held_out_line(episode, hardest),
            "",
        ]
        words = [self.word(int(token)) for token in inputs]
        answers = ["" if token == IGNORE else self.word(int(token)) for token in targets]
        width = max(map(len, words + answers))  # one for all: a target stands under its token
        cells, target_cells = ([f"{word:<{width}}" for word in row] for row in (words, answers))
        for number, start in enumerate(range(0, len(words), episode.window), start=1):
            stop = min(start + episode.window, len(words))
            head = f"window {number} {'predict' if any(answers[start:stop]) else 'sleep':>8}"
            for first in range(start, stop, most := max(1, _LINE // (width + 1))):
                part = slice(first, min(first + most, stop))
                lines.append(f"{head}  {' '.join(cells[part]).rstrip()}")
                head = " " * len(head)
                if any(answers[part]):
                    lines.append(f"{'targets':>{len(head)}}  {' '.join(target_cells[part]).rstrip()}")
        return "\n".join(lines)

    def _held_out_line(self, episode: Episode, difficulty: int) -> list[str]:
        """What is held out at a difficulty in a line; none where a task does not say."""
        if held_out := self.held_out(difficulty):
            return [f"held out: {held_out}"]
        if self.determinants(episode) is None:
            return []
        return ["held out: no part that fixes an answer, so a table could hold the answers: see its shortcuts"]

    def records(self, split: str, indices: ArrayLike, seed: int = 0) -> list[dict[str, Any]]:
        """The examples of `episodes` as plain data, a row each, as `bench data` writes them.

        `tokens` and `targets` are the arrays' rows; `answer` and `difficulty` have an entry per answer, the answer in
        words; `structure` joins the content hashes in hexadecimal; `metadata` is JSON: settings and facts. `prompt`
        is null: a task made of text overrides this to give it.
        """
        episode = self.episodes(split, indices, seed)
        same = {"task": self.name, "version": self.version, "split": split, "seed": seed}
        facts = {name: array.tolist() for name, array in episode.facts.items()}
        rows = []
        for b, index in enumerate(np.asarray(indices).tolist()):
            words: dict[int, list[str]] = {}
            difficulty: dict[int, int] = {}
            at = np.flatnonzero(episode.answer[b] >= 0)
            asked = (array[b, at].tolist() for array in (episode.answer, episode.targets, episode.difficulty))
            for number, token, level in zip(*asked, strict=True):
                words.setdefault(number, []).append(self.word(token))
                difficulty[number] = level
            row = {
                **same,
                "index": index,
                "prompt": None,
                "tokens": episode.inputs[b].tolist(),
                "targets": episode.targets[b].tolist(),
                "answer": [" ".join(words[number]) for number in sorted(words)],
                "difficulty": [difficulty[number] for number in sorted(words)],
                "structure": "-".join(f"{content:016x}" for content in episode.content[b].tolist()),
                "metadata": json.dumps(
                    {"settings": asdict(self), "facts": {name: of[b] for name, of in facts.items()}}
                ),
            }
            rows.append(row)
        return rows
