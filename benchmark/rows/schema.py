"""The columns of a row. One row is one evaluated condition of one cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmark.rows.text import Table

SCHEMA_VERSION = 8

STAMP_VERSION = 7
"""The first version whose lines have a check (`benchmark.rows.stamps`)."""

Row = dict[str, Any]


class Status(StrEnum):
    """How a cell stands. Its rows have the first six, its folder and the live table the others too."""

    OK = "ok"
    DIVERGED = "diverged"
    """A loss is no longer a number; training again would only repeat it."""
    OUT_OF_MEMORY = "out_of_memory"
    """It did not fit into memory, nor with each batch in parts."""
    CRASHED = "crashed"
    """Something raised, or the process died."""
    TIMED_OUT = "timed_out"
    """It made no step for too long, or took longer than it was allowed to."""
    CANCELLED = "cancelled"
    """The sweep was stopped, and it did not save in time."""
    WAITING = "waiting"
    RUNNING = "running"
    STOPPED = "stopped"
    """A worker was asked to end, and saved."""
    INTERRUPTED = "interrupted"
    """There is a checkpoint to go on from."""

    @property
    def in_rows(self) -> bool:
        """Whether rows have it."""
        return self == Status.OK or self.failed

    @property
    def final(self) -> bool:
        """Whether a second run would only repeat it."""
        return self in (Status.OK, Status.DIVERGED)

    @property
    def failed(self) -> bool:
        """Whether a row says why there are no scores; what is not `final` of it the next run tries again."""
        return self in FAILURES


FAILURES = (Status.DIVERGED, Status.OUT_OF_MEMORY, Status.CRASHED, Status.TIMED_OUT, Status.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column that every rows file has."""

    kind: str
    """"str", "int" or "float"; any may be null where `about` says so."""
    about: str
    """Meaning and unit."""


COLUMNS: dict[str, Column] = {
    "schema_version": Column(kind="int", about="version of this table"),
    "suite": Column(kind="str", about="suite the cell was run in"),
    "scale": Column(kind="str", about="scale of that suite"),
    "cell_id": Column(kind="str", about="hash of the cell's settings, seed and versions"),
    "status": Column(
        kind="str",
        about="ok, or how it failed: diverged, out_of_memory, crashed, timed_out, cancelled; scores are null unless ok",
    ),
    "reason": Column(kind="str", about="why the status is not ok, else null"),
    "task": Column(kind="str", about="name of the task"),
    "task_version": Column(kind="int", about="version of the task's examples"),
    "model": Column(kind="str", about="name of the model"),
    "model_version": Column(kind="int", about="version of the model's numbers"),
    "seed": Column(kind="int", about="seed of parameters and training data"),
    "variant": Column(
        kind="str", about="what the suite calls the cell beside its settings (controls: the rival), or null"
    ),
    "seq_len": Column(kind="int", about="T: tokens of one sequence, answers included"),
    "window": Column(kind="int", about="L: tokens read before eviction"),
    "step": Column(kind="int", about="optimizer steps taken"),
    "tokens_seen": Column(kind="int", about="training tokens read, each counted once whatever N"),
    "train_flops": Column(
        kind="float", about="FLOPs of forward and backward up to here, multiply and add counted apart; no optimizer"
    ),
    "sleep_flops": Column(kind="float", about="forward FLOPs of consolidating all windows of one sequence"),
    "wake_flops": Column(kind="float", about="forward FLOPs of predicting one sequence's answers"),
    "state_bytes": Column(kind="int", about="bytes of state kept per sequence between windows"),
    "cache_bytes": Column(
        kind="int",
        about="bytes (fp32) of keys and values of a sequence's consolidated windows, which state replaces, or null",
    ),
    "parameters": Column(kind="int", about="trained parameters"),
    "split": Column(kind="str", about="split the scores are of"),
    "tested_passes": Column(
        kind="int", about="N used in the test; differs from sleep_passes where test_passes says so"
    ),
    "axis": Column(kind="str", about="name of the task's difficulty"),
    "difficulty": Column(kind="int", about="value of that difficulty"),
    "answer": Column(
        kind="int",
        about="which answer of the example (rule110: which string); null: all, right together (depo: each by itself)",
    ),
    "n_examples": Column(kind="int", about="held-out examples scored; where answers count by themselves, answers"),
    "loss": Column(kind="float", about="cross-entropy per target token, nats"),
    "train_loss": Column(kind="float", about="mean training loss since the row before, nats per target token"),
    "token_accuracy": Column(kind="float", about="share of target tokens right (rule110: per-bit accuracy)"),
    "exact_match": Column(kind="float", about="share of those with every token right"),
    "chance": Column(kind="float", about="exact_match of a guess without computation on what was read, from the task"),
    "majority": Column(kind="float", about="exact_match of always the most frequent answer, from the task"),
    "question_only": Column(kind="float", about="exact_match of the best guess from the question alone, from the task"),
    "shortcut": Column(
        kind="float",
        about="exact_match of the best predictor known that reads but does not compute what is asked, from the task; "
        "tables that are always right do not count; null if it knows none, and for one of several answers that must be "
        "right together",
    ),
    "shortcut_name": Column(kind="str", about="what the task calls that predictor, or null"),
    "lift": Column(kind="float", about="(exact_match - chance) / (1 - chance): 0 is guessing, 1 is perfect"),
    "wall_s": Column(kind="float", about="seconds of training and testing up to here, over all restarts"),
    "energy_j": Column(
        kind="float",
        about="joules that the device took in that time, with all that ran on it beside (NVML of a GPU, RAPL of "
        "processors); null where the machine does not measure it, and in older rows",
    ),
    "device": Column(kind="str", about="device type"),
    "processor": Column(
        kind="str",
        about="CPU or GPU, as the system calls it; another rounds differently, so that a seed gives other numbers",
    ),
    "backend": Column(
        kind="str", about="what ran the blocks: torch, or native (C); they round differently; null in older rows"
    ),
    "micro_batches": Column(
        kind="int",
        about="parts that each batch was trained in: more than 1 where memory did not suffice; null in older rows",
    ),
    "torch": Column(kind="str", about="torch version"),
    "audit": Column(
        kind="str",
        about="of a model from outside: passed or skipped (--no-audit); null: a model of this suite, or old rows",
    ),
    "commit": Column(kind="str", about="commit of this code, '-dirty' when changed; null outside a repository"),
    "source": Column(
        kind="str",
        about="hash of the files that compute numbers (`benchmark.environment.SOURCES`), as the worker had them; null "
        "in older rows",
    ),
}
"""Columns of every task and model, in order. The settings of task, model and training follow, one column each."""

REPORT = "report_"
"""How columns begin that hold what a model reports of a test (`baselines.report`): the mean over its examples."""

NOTED = f"{REPORT}exact_match_noted"
"""`exact_match` where the model reads the notes that it uses instead of writing them: beside a chain of thought that is
free, what is lost by its faults."""

LATER = (
    *("variant", "cache_bytes", "shortcut", "shortcut_name", "processor", "audit", "backend", "micro_batches"),
    *("source", "energy_j"),
)
"""Columns that versions before this one did not have: null in their rows."""

NAME_COLUMNS = ("schema_version", "cell_id", "status", "task", "task_version", "model", "model_version", "seed")
"""Columns that every row has a value in."""

COUNT_COLUMNS = ("seq_len", "window", "n_examples")
"""Whole numbers from 1, or null."""

TEST_COLUMNS = ("step", "tokens_seen", "tested_passes", "axis", "difficulty", "exact_match", "chance")
"""Columns that every row with scores has a value in; of `answer` null is one."""

IDENTITY = ("commit", "source")
"""Columns that tell which code a row comes from."""

WALL_COLUMNS = ("wall_s", "energy_j")
"""Columns that differ between two runs of the same cell on the same machine; every other is bit-for-bit equal."""


def is_setting(column: str) -> bool:
    """Whether a column holds a setting of cells: it is neither one of every row nor what a model reports."""
    return column not in COLUMNS and not column.startswith(REPORT)


def dictionary(columns: Mapping[str, Column] = COLUMNS) -> str:
    """The columns of every rows file, or of another table, as a Markdown table."""
    lines = [(f"`{name}`", column.kind, column.about) for name, column in columns.items()]
    return Table(("column", "type", "meaning"), lines).markdown()
