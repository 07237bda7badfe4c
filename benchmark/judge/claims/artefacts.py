"""Controls: what else could look like a gain in depth. A gain of N counts as one only if it survives them.

(a) it is there at every answer of an example; (b) it does not vanish when the model is told which window it reads; (c)
what fixes the answers was never met in training; (d) the better N is above what shortcuts get; (e) it is left at equal
training FLOPs. They are judged from rows; of a task its own truths are asked, examples and shortcuts.

A control is survived if what it leaves is more than nothing by a 95 % interval over seeds, and failed if it leaves less
than half of the gain and no more than nothing for sure. Between the two the seeds are too few to say: not tested. Which
of two equal budgets decides (e), `benchmark.judge.equal_flops` says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from benchmark.judge.claims.floors import Floor, floors
from benchmark.judge.equal_flops import (
    Comparison,
    Status,
    alike,
    at_larger_budget,
    at_smaller_budget,
    by_difficulty,
    outcome,
    rivals,
    status,
)
from benchmark.judge.evidence import (
    Gain,
    Scores,
    align,
    chance,
    common_seeds,
    example_variance,
    examples,
    mean_over_seeds,
    outcomes_of,
    scores,
    task_of,
)
from benchmark.judge.statistics import paired_contrast
from benchmark.rows.studies import Study, values
from tasks.base import Task

NAMES = {
    "a": "every answer position",
    "b": "window index given",
    "c": "what fixes answers held out",
    "d": "above chance and shortcuts",
    "e": "equal training FLOPs",
}
"""Every control by letter."""

FAILURE_WORDS = {
    "a": "not at every answer",
    "b": "not with a window index",
    "c": "not on held-out answers",
    "d": "not above the shortcuts",
    "e": "not at equal FLOPs",
}
"""How a claim is qualified whose gain fails a control."""

_TRAINING, _HELD_OUT = 2048, 1024  # examples that are compared


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """How a gain fares under one control.

    Attributes:
        letter: a to e.
        name: What is controlled.
        status: "not needed" where the artefact cannot arise, "not tested" where the rows do not say.
        reading: The numbers in a line.
        comparisons: Of (e): both equal budgets, over all difficulties of the gain and at each of them.
    """

    letter: str
    name: str
    status: Status
    reading: str
    comparisons: tuple[Comparison, ...] = ()

    @property
    def joint_comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons over all difficulties of the gain."""
        depths = self.comparisons[0].depths if self.comparisons else ()
        return tuple(each for each in self.comparisons if each.depths == depths)

    @property
    def single_comparisons(self) -> tuple[Comparison, ...]:
        """Those at each of several difficulties."""
        return self.comparisons[len(self.joint_comparisons) :]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"comparisons": [each.as_dict() for each in self.comparisons]}


def examine(letters: Sequence[str], study: Study, gain: Gain, every: Sequence[Study]) -> tuple[Control, ...]:
    """The controls of a gain.

    Args:
        letters: Which.
        study: The rows that show the gain.
        gain: What it is.
        every: All studies there are, among which runs with a window index, longer ones and rivals are looked for.
    """
    one, other = align(scores(study.final, gain.low, gain.depths), scores(study.final, gain.high, gain.depths))
    whole = float(np.mean(other) - np.mean(one))
    if whole <= 0:
        none = f"no gain to explain: {whole:+.3f}"
        return tuple(Control(letter=a, name=NAMES[a], status="not needed", reading=none) for a in letters)
    results: dict[str, tuple[Status, str]] = {}
    comparisons: tuple[Comparison, ...] = ()
    for letter in letters:
        if letter == "a":
            results[letter] = _every_answer(study, gain)
        elif letter == "b":
            results[letter] = _window_index(study, gain, whole, every)
        elif letter == "c":
            results[letter] = _held_out(study, gain)
        elif letter == "d":
            results[letter] = _shortcuts(study, gain)
        else:
            outcome, reading, comparisons = _equal_flops(study, gain, whole, every)
            results[letter] = outcome, reading
    return tuple(
        Control(letter=a, name=NAMES[a], status=s, reading=r, comparisons=comparisons if a == "e" else ())
        for a, (s, r) in results.items()
    )


def qualification(controls: Sequence[Control]) -> str:
    """What a claim that is reproduced has to be qualified by: controls that fail, and equal FLOPs if left open."""
    words = [FAILURE_WORDS[control.letter] for control in controls if control.status == "fails"]
    unsettled = any(control.letter == "e" and control.status == "not tested" for control in controls)
    return "; ".join([*words, "equal FLOPs not settled"] if unsettled else words)


def _every_answer(study: Study, gain: Gain) -> tuple[Status, str]:
    """(a) Every position of an example has at least half of the mean gain of its positions, in the mean over seeds."""
    answers = values(study.final["answer"])
    if len(answers) < 2:
        return "not needed", "one answer per example"
    gains: list[Scores] = []
    for answer in answers:
        one, other = (scores(study.final, n, gain.depths, answer=answer) for n in (gain.low, gain.high))
        gains.append(Scores({seed: other[seed] - one[seed] for seed in common_seeds(one, other)}, one.processors))
    table = np.array(align(*gains))  # [answers, seeds]
    mean = table.mean(axis=0)
    text = f"gain by answer {', '.join(f'{row.mean():+.3f}' for row in table)}"
    if (table.mean(axis=1) < table.mean() / 2).any():
        return "fails", f"{text}: one has less than half of their mean"
    if (mean <= 0).any():
        return "not tested", f"{text}; some seeds gain nothing"
    shares = table / mean  # what seeds have in common cancels
    beyond = [paired_contrast([0.5] * len(row), list(row)).difference for row in shares]
    if all(share.low > 0 for share in beyond):
        return "survives", text
    return "not tested", f"{text}; seeds too few to say that each has half of their mean"


def _window_index(study: Study, gain: Gain, whole: float, every: Sequence[Study]) -> tuple[Status, str]:
    """(b) Windows that look alike can collide in the state; a model that knows the index of each has no such excuse."""
    first = study.final.row(0, named=True)
    if first["seq_len"] is None or first["window"] is None:
        return "not tested", "the rows do not say how many windows are consolidated"
    consolidated = -(-first["seq_len"] // first["window"]) - 1
    if consolidated < 2:
        return "not needed", "one window is consolidated: none to be mistaken for another"
    index = first.get("window_embedding")
    if index is None:
        return "not tested", f"{consolidated} windows are consolidated; the rows do not say whether an index is given"
    if index:
        return "survives", f"{consolidated} windows are consolidated, each with an index of its own"
    for twin in every:
        if twin is study or not alike(study, twin, gain, ("window_embedding",)):
            continue
        if not twin.final.height or twin.final["window_embedding"][0] is not True:
            continue
        one, other = (scores(twin.final, n, gain.depths) for n in (gain.low, gain.high))
        if common_seeds(one, other):
            low, high = align(one, other)
            pairs, count = common_seeds(one, other), examples(twin.final, [gain.low, gain.high], gain.depths)
            right = (outcomes_of(twin.final, twin.outcomes, n, gain.depths, pairs) for n in (gain.low, gain.high))
            remaining = paired_contrast(low, high, examples=count, shared=example_variance(*right))
            text = f"with a window index {remaining.difference} is left of {whole:+.3f}"
            return status(remaining.difference, whole), text
    return "not tested", f"{consolidated} windows are consolidated without an index; no rows with one at this setting"


def _held_out(study: Study, gain: Gain) -> tuple[Status, str]:
    """(c) What fixes the answers that were tested is in no example of training, at the rows' own settings.

    That is the smallest part which does (`Task.determinants`): a content may be new and all that is asked of it known.
    Of a task that does not say, whole contents are compared.
    """
    overlaps = []
    for depth in gain.depths:
        row = study.final.filter(pl.col("depth") == depth).row(0, named=True)
        if row["split"] == "train":
            return "fails", "tested on the examples of training"
        try:
            task = task_of(row)
            count, distinct, what = _overlap(task, task.at(depth), row["split"])
        except (ValueError, TypeError) as error:
            return "not tested", f"the task cannot be asked: {error}"
        overlaps.append(
            (count, f"{count} of {distinct:,} {what}{f' at {study.label(depth)}' if len(gain.depths) > 1 else ''}")
        )
    text = f"{study.final['split'][0]}: {', '.join(words for _, words in overlaps)} are among those of "
    return ("fails" if any(count for count, _ in overlaps) else "survives"), f"{text}{_TRAINING:,} examples of training"


@lru_cache(maxsize=256)
def _overlap(training_task: Task, test_task: Task, split: str) -> tuple[int, int, str]:
    """How many of what fixes answers of held-out examples training examples have, how many there are, and of what."""
    training = training_task.episodes("train", np.arange(_TRAINING))
    held_out = test_task.episodes(split, np.arange(_HELD_OUT))
    of_training, of_tests = training_task.determinants(training), test_task.determinants(held_out)
    if of_training is None or of_tests is None:
        contents = np.unique(held_out.content)
        return int(np.isin(contents, training.content).sum()), len(contents), "contents"
    parts = np.unique(of_tests[of_tests != 0])  # 0: an answer that an example does not have
    return int(np.isin(parts, of_training).sum()), len(parts), "parts that fix an answer"


def _shortcuts(study: Study, gain: Gain) -> tuple[Status, str]:
    """(d) The larger N is above chance, guesses that have read nothing, and every shortcut the task knows.

    At each difficulty the highest of them counts, see `benchmark.judge.claims.floors`. Shortcuts of another version of
    the task than that of the rows may show that they suffice, never that they do not.
    """
    by_seed = scores(study.final, gain.high, gain.depths)
    score = mean_over_seeds(by_seed, examples(study.final, [gain.high], gain.depths))
    highest = floors(study, gain.depths).values()
    chances, floor = chance(study.final, gain.depths), float(np.mean([each.share for each in highest]))
    lift = (score.estimate - chances) / (1 - chances)
    unknown, other_version = _unknown_shortcuts(study, gain)
    text = f"N = {gain.high} {score}, a lift of {lift:.2f}; strongest shortcut {_floor_names(highest)} {floor:.3f}"
    if score.estimate <= floor:
        lower_floors = floors(study, gain.depths, below=score.estimate).values()
        beaten = (
            f", above {_floor_names(lower_floors)} {np.mean([each.share for each in lower_floors]):.3f}"
            if lower_floors
            else ""
        )
        return "fails", f"{text}{beaten}{unknown}"
    sure = score.low > floor and len(by_seed) > 1 and not other_version
    return ("survives" if sure else "not tested"), f"{text}{unknown}"


def _floor_names(floors: Iterable[Floor]) -> str:
    return ", ".join(dict.fromkeys(floor.name for floor in floors))


def _unknown_shortcuts(study: Study, gain: Gain) -> tuple[str, bool]:
    """What is not known of a task's shortcuts, in words, and whether they are those of another version."""
    first = study.final.row(0, named=True)
    try:
        task = task_of(first, of_any_version=True)
        any_ = any(task.shortcuts(depth) for depth in gain.depths)
    except (ValueError, TypeError) as error:
        return f"; the task's shortcuts cannot be asked: {error}", False
    words = "" if any_ else "; the task names no shortcut"
    if task.version == first["task_version"]:
        return words, False
    return f"{words}; shortcuts of {task.name} version {task.version}, rows of {first['task_version']}", True


def _equal_flops(
    study: Study, gain: Gain, whole: float, every: Sequence[Study]
) -> tuple[Status, str, tuple[Comparison, ...]]:
    """(e) Both N after the same training FLOPs, at both budgets; equal tokens are what the claim itself compares at."""
    smaller, larger = at_smaller_budget(study, gain), at_larger_budget(study, gain, every)
    words = [f"equal tokens {whole:+.3f}", *map(str, smaller), *map(str, larger), rivals(study, gain, every)]
    return (
        outcome(smaller, larger, whole, gain.low),
        "; ".join(text for text in words if text),
        (*smaller, *larger, *by_difficulty(study, gain, every)),
    )
