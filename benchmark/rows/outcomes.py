"""Outcomes: which held-out examples a cell got right, packed into bits, beside its rows.

They are kept of two tests of a cell, the last and the one in the middle, and addressed as its rows are: by cell, step,
N of the test, difficulty and answer. A running cell appends JSON lines to `outcomes.jsonl`, synced to disk, before the
rows of the same test; a sweep gathers them into `outcomes.parquet`. A test of 2048 examples takes 256 bytes an answer.

Every cell of a task is tested on the same examples, so what two cells got right can be compared example by example:
`mcnemar`, `paired_outcomes` and `hierarchical_bootstrap` of `benchmark.judge.statistics` do.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import rows
from benchmark.rows import stamps

if TYPE_CHECKING:
    import polars as pl

    from benchmark.rows.scores import Score

FILE = "outcomes.parquet"
LINES = "outcomes.jsonl"


class Key(NamedTuple):
    """What a test is addressed by, as in the columns of rows; `answer` is None for the whole example."""

    cell_id: str
    step: int
    tested_passes: int
    difficulty: int
    answer: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was asked of each held-out example, and how much of it was right."""

    asked: NDArray[np.int64]
    """Answers asked of each example at this difficulty [examples], in the order of the split: 1 or 0, but where answers
    count by themselves and are put together."""
    right: NDArray[np.int64]
    """How many of them were right [examples]."""

    @property
    def exact_match(self) -> float:
        """The score, bit for bit that of the row."""
        return float(self.right.sum() / self.asked.sum())

    @property
    def values(self) -> NDArray[np.float64]:
        """What each example says of the score [examples], which is their mean: 1 or 0 where all are asked once.

        Else how much more of it is right than the score expects, over the mean number asked, around the score: an
        example that was not asked says nothing against it.
        """
        score = self.exact_match
        values: NDArray[np.float64] = score + (self.right - score * self.asked) * (len(self.asked) / self.asked.sum())
        return values


def outcome_steps(steps: Sequence[int]) -> set[int]:
    """Of the steps at which a cell is tested, those whose outcomes are kept: the last and the middle one."""
    return {steps[(len(steps) - 1) // 2], steps[-1]}


def lines(cell_id: str, step: int, tested_passes: int, scores: Iterable["Score"]) -> list[rows.Row]:
    """The outcomes of one test as they are written, a line per difficulty and answer.

    Where answers count by themselves, the whole example has no line: it is its answers put together.
    """
    return [
        {
            "cell_id": cell_id,
            "step": step,
            "tested_passes": tested_passes,
            "difficulty": score.difficulty,
            "answer": score.answer,
            "examples": len(score.asked),
            "asked": None if score.asked.all() else _pack(score.asked),
            "right": _pack(score.right),
        }
        for score in scores
        if score.asked is not None and score.right is not None
    ]


def read_lines(path: Path, cell_id: str | None = None) -> list[rows.Row]:
    """The lines of a cell's file; none if there is no file. An unfinished last line is a torn write: left out.

    Raises:
        DamagedFileError: any other line that is not what was written, or not the outcome of a test of the cell.
    """
    lines: dict[Key, rows.Row] = {}
    for number, line, _ in stamps.lines(path):
        try:
            key = _key(line, cell_id)
            if key in lines:
                raise ValueError("it stands there already")
            _outcome(line["examples"], _bytes(line["asked"]), _bytes(line["right"]))
        except (ValueError, TypeError) as error:
            raise rows.DamagedFileError(f"{path}, line {number}: not the outcome of a test ({error})") from error
        lines[key] = line
    return list(lines.values())


def table(lines: Sequence[rows.Row]) -> "pl.DataFrame":
    """Lines as a table, sorted; bits as bytes, packed as `numpy.packbits` does."""
    import polars as pl

    schema = {"cell_id": pl.String, **dict.fromkeys((*Key._fields[1:], "examples"), pl.Int64)}
    schema |= {"asked": pl.Binary, "right": pl.Binary}
    frame = pl.DataFrame(
        [line | {name: _bytes(line[name]) for name in ("asked", "right")} for line in lines], schema=schema
    )
    return frame.sort(Key._fields, nulls_last=True)


def read_table(path: Path) -> "pl.DataFrame":
    """The table in a file or in the folder of a suite; an empty one if there is none.

    Raises:
        DamagedFileError: not parquet, or not a table of outcomes.
    """
    path = path / FILE if path.is_dir() else path
    empty = table([])
    if not path.exists():
        return empty
    frame = rows.read_frame(path)
    if frame.schema != empty.schema:
        raise rows.DamagedFileError(f"{path} is not a table of outcomes")
    return frame


def read(source: Path) -> dict[Key, Outcome]:
    """The outcomes beside the rows of a folder, or of every folder in it; none where none were kept.

    Whole examples whose answers count by themselves are put together from their answers.

    Raises:
        DamagedFileError: as `read_table`, or bits that are not those of so many examples.
    """
    outcomes: dict[Key, Outcome] = {}
    for folder in rows.tables_in(source) if source.is_dir() else [source.parent]:
        for *key, examples, asked, right in read_table(folder).rows():
            try:
                outcomes[Key(*key)] = _outcome(examples, asked, right)
            except (TypeError, ValueError) as error:
                raise rows.DamagedFileError(f"{folder / FILE}: {Key(*key)} is not whole ({error})") from error
    return outcomes | _put_together(outcomes)


def read_all(sources: Sequence[Path]) -> dict[Key, Outcome]:
    """Those of several sources together, as `rows.read_tables` reads their rows."""
    return {key: outcome for source in sources for key, outcome in read(source).items()}


def _put_together(outcomes: Mapping[Key, Outcome]) -> dict[Key, Outcome]:
    """Whole examples that have no outcome of their own, from those of their answers."""
    parts: dict[Key, list[Outcome]] = {}
    for key, outcome in outcomes.items():
        whole = key._replace(answer=None)
        if whole not in outcomes:
            parts.setdefault(whole, []).append(outcome)
    return {
        whole: Outcome(
            asked=np.sum([part.asked for part in of_whole], axis=0),
            right=np.sum([part.right for part in of_whole], axis=0),
        )
        for whole, of_whole in parts.items()
    }


def _key(line: rows.Row, cell_id: str | None) -> Key:
    """What a line is addressed by.

    Raises:
        ValueError: it is no line of outcomes, or one of another cell.
    """
    if line.keys() != {*Key._fields, "examples", "asked", "right"}:
        raise ValueError(f"it has {', '.join(line)}")
    key = Key(*(line[name] for name in Key._fields))
    numbers = [*key[1:-1], line["examples"], 0 if key.answer is None else key.answer]
    if not isinstance(key.cell_id, str) or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError("its address is none")
    if cell_id not in (None, key.cell_id):
        raise ValueError(f"of another cell, {key.cell_id}")
    return key


def _outcome(examples: int, asked: bytes | None, right: bytes | None) -> Outcome:
    """An outcome from its bytes.

    Raises:
        ValueError: they are not of so many examples, or something is right that was not asked.
    """
    of_right = _unpack(right, examples)
    of_asked = np.ones(examples, dtype=np.int64) if asked is None else _unpack(asked, examples)
    outcome = Outcome(asked=of_asked, right=of_right)
    if not outcome.asked.any() or (outcome.right > outcome.asked).any():
        raise ValueError("something is right that was not asked")
    return outcome


def _pack(bits: NDArray[np.bool_]) -> str:
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def _bytes(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _unpack(data: bytes | None, examples: int) -> NDArray[np.int64]:
    if data is None or len(data) != -(-examples // 8):
        raise ValueError(f"not the bits of {examples} examples")
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=examples).astype(np.int64)
