"""A cell: one training run as a value. Its id names exactly what would change the numbers.

Run-time choices (device, jobs, output folder) are no part of a cell; everything else is, the versions of the task and
of the model included.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

import baselines
import tasks
from baselines.base import ModelConfig
from benchmark.rows import COLUMNS, REPORT
from tasks import rng
from tasks.base import Task, check_whole, nearest, non_defaults
from tasks.values import LARGEST, kinds_of, parse

MOST = {"tokens": 10**15, "batch": 10**6, "sleep_passes": 1024, "evaluations": 10**6, "test_examples": 10**8}
"""The largest values of settings: far beyond what anybody trains, and small enough to be looked at in a moment."""

RESERVED_NAMES = (
    *("n", "depth", "cell", "setting", "N", "tested_N", "seeds", "lowest", "highest", "ci_low", "ci_high", "reached"),
    *("tokens_needed", "at_smaller_budget", "at_larger_budget"),
)
"""Names that rows do not have and that their studies and tables give to columns of their own."""

PRECISIONS = ("fp32", "bf16")
TEST_SPLITS = ("test", "validation")

Part = TypeVar("Part", bound="Task | ModelConfig | Training")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is trained and tested.

    Attributes:
        tokens: Training budget in tokens of input, all windows counted once whatever N; rounded up to whole steps.
        batch: Sequences per step.
        sleep_passes: N, passes over each window before it is evicted; 1 is the plain hybrid.
        sleep_passes_drawn: Values of N, of which every step of training draws one for its whole batch; one that is
            named twice is drawn twice as often, and FLOPs are the mean. `sleep_passes` is then the N of tests alone.
        hard_share: Share of the steps, from the first, in which only the fast-weight layers learn, under hard eviction:
            the first stage of the paper's two-stage recipe for sliding windows. The second trains everything. FLOPs are
            counted as if all steps did.
        test_passes: Values of N to test with; empty means the trained one.
        test_at: Difficulties to test at, each as a task of it alone; empty means the task's own.
        muon_lr: Learning rate of the matrices inside blocks (Muon).
        adam_lr: Learning rate of everything else (AdamW).
        weight_decay: Decoupled decay, both optimizers.
        clip: Largest gradient norm.
        warmup_steps: Steps over which both rates rise linearly from 0; constant afterwards.
        precision: "fp32", or "bf16" for autocast of the matrix products.
        evaluations: Points of the learning curve, evenly spaced in steps; the last is the end.
        test_examples: Held-out examples per point.
        test_split: "test", or "validation" for choosing settings without looking at the test examples.
    """

    tokens: int
    batch: int = 256
    sleep_passes: int = 1
    hard_share: float = 0.0
    test_passes: tuple[int, ...] = ()
    test_at: tuple[int, ...] = ()
    muon_lr: float = 0.01
    adam_lr: float = 3e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    warmup_steps: int = 0
    precision: str = "fp32"
    evaluations: int = 20
    test_examples: int = 2048
    test_split: str = "test"
    sleep_passes_drawn: tuple[int, ...] = field(default=(), metadata={"later": True})

    @property
    def most_passes(self) -> int:
        """The largest N of a step of training."""
        return max(self.sleep_passes_drawn, default=self.sleep_passes)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be trained."""
        for name, most in MOST.items():
            check_whole(name, getattr(self, name), 1, most=most)
        for name in ("test_passes", "sleep_passes_drawn"):
            for passes in getattr(self, name):
                check_whole(name, passes, 1, most=MOST["sleep_passes"])
        for difficulty in self.test_at:
            check_whole("test_at", difficulty, 0)
        check_whole("warmup_steps", self.warmup_steps, 0, most=MOST["tokens"])
        if not 0 <= self.hard_share < 1:
            raise ValueError(f"hard_share must be in 0 <= share < 1; given {self.hard_share!r}")
        for name in ("muon_lr", "adam_lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0; given {getattr(self, name)!r}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0; given {self.weight_decay!r}")
        if self.test_split not in TEST_SPLITS:
            raise ValueError(nearest(self.test_split, TEST_SPLITS, kind="test_split"))
        if self.precision not in PRECISIONS:
            raise ValueError(nearest(self.precision, PRECISIONS, kind="precision"))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run: a task, a model, how to train it, and the seed of its parameters and data.

    Attributes:
        variant: What its suite calls it beside its settings, such as "wider"; no part of its id.
    """

    task: Task
    model: ModelConfig
    training: Training
    seed: int = 0
    variant: str | None = None

    def __post_init__(self) -> None:
        """Refuse a negative seed, what no row can hold, and settings whose names rows could not tell apart."""
        check_whole("seed", self.seed, 0)
        for name, value in {**self.axes, "seed": self.seed}.items():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, int) and abs(part) > LARGEST:
                    raise ValueError(f"{name}: the largest whole number that rows hold is {LARGEST}; given {part}")
        names = [f.name for part in self.parts() for f in fields(part)]
        if doubled := sorted(
            {n for n in names if names.count(n) > 1 or n in COLUMNS or n in RESERVED_NAMES or n.startswith(REPORT)}
        ):
            raise ValueError(
                f"settings of task {self.task.name!r}, model {self.model.name!r} and training must have names of "
                f"their own, none of them a column of rows or tables; rename {', '.join(doubled)}"
            )
        for difficulty in self.training.test_at:
            self.task.at(difficulty)  # says why if it cannot be

    def parts(self) -> tuple[Task, ModelConfig, Training]:
        """The three frozen dataclasses that hold the settings."""
        return self.task, self.model, self.training

    @property
    def steps(self) -> int:
        """Optimizer steps: the token budget in whole batches."""
        return -(-self.training.tokens // (self.training.batch * self.task.seq_len))

    def passes_at(self, step: int) -> int:
        """N of a training step, from 0: a function of the seed and the step alone, so that a cell may be resumed."""
        if not (counts := self.training.sleep_passes_drawn):
            return self.training.sleep_passes
        word = rng.words(rng.stream("passes", self.seed), np.array([step]), 1)
        return counts[int(rng.integers(word, len(counts))[0, 0])]

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """The steps after which the model is tested, the last one included; strictly rising."""
        points = min(self.training.evaluations, self.steps)
        return tuple(self.steps * (i + 1) // points for i in range(points))

    @property
    def levels(self) -> tuple[int, ...]:
        """The difficulties it is tested at."""
        return self.training.test_at or self.task.levels

    @property
    def hard_steps(self) -> int:
        """Steps of the first stage, in which only fast-weight layers learn."""
        return round(self.training.hard_share * self.steps)

    @property
    def axes(self) -> dict[str, Any]:
        """Every setting by name: what a row says about its cell beside names, versions and seed."""
        return {f.name: getattr(part, f.name) for part in self.parts() for f in fields(part)}

    @property
    def difficulty(self) -> int | None:
        """The value of the task's axis, or None for a task whose examples mix several."""
        value: int | None = self.axes.get(self.task.axis)
        return value

    def as_json(self) -> dict[str, Any]:
        """The cell as plain data: names, versions and every setting; `from_json` turns it back."""
        return {
            "task": {"name": self.task.name, "version": self.task.version, **asdict(self.task)},
            "model": {"name": self.model.name, "version": self.model.revision, **asdict(self.model)},
            "training": asdict(self.training),
            "seed": self.seed,
            "variant": self.variant,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], *, imports: bool = True) -> Self:
        """The cell that `as_json` described.

        Args:
            data: The description.
            imports: Whether a module that it names is imported, which runs its code.

        Raises:
            ValueError: unknown names or settings, or versions of code that is no longer here.
        """
        return cls(
            task=_part(tasks.load(data["task"]["name"], imports=imports), data["task"]),
            model=_part(baselines.load(data["model"]["name"], imports=imports), data["model"]),
            training=_part(Training, data["training"]),
            seed=data["seed"],
            variant=data.get("variant"),
        )

    @cached_property
    def id(self) -> str:
        """Twelve hex digits of the hash of the canonical settings.

        Settings at their default are left out (`tasks.base.non_defaults` says why); a test holds ids still.

        Raises:
            ValueError: a plug-in has a setting, a name or a version that JSON has no form for.
        """
        canonical = {
            "task": [self.task.name, self.task.version, non_defaults(self.task)],
            "model": [self.model.name, self.model.revision, non_defaults(self.model)],
            "training": non_defaults(self.training),
            "seed": self.seed,
        }
        try:
            text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
        except (TypeError, ValueError) as error:  # of a plug-in
            names = f"{self.task.name}, {self.model.name}"
            raise ValueError(f"settings of {names} are no numbers, texts or lists of them: {error}") from error
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def with_settings(self, settings: dict[str, Any]) -> "Cell":
        """A copy with some settings, of whichever part has them, replaced.

        Raises:
            ValueError: a name that no part has, or a value the part refuses.
        """
        valid = set(self.axes) | {"seed"}
        for name in settings:
            if name not in valid:
                raise ValueError(nearest(name, sorted(valid), kind="setting"))
        return Cell(
            task=_override(self.task, settings),
            model=_override(self.model, settings),
            training=_override(self.training, settings),
            seed=settings.get("seed", self.seed),
            variant=self.variant,
        )


def _override(part: Part, settings: dict[str, Any]) -> Part:
    return replace(part, **{f.name: settings[f.name] for f in fields(part) if f.name in settings})


def parse_setting(text: str, *holders: Cell | Task | ModelConfig) -> tuple[str, Any]:
    """`name=value` from a command line, the value in the type that setting has in a cell, or a task or model alone."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"a setting is written name=value; given {text!r}")
    return name, parse(name, value, kind_of(name, *holders))


def kind_of(name: str, *holders: Cell | Task | ModelConfig) -> Any:
    """The type of a setting.

    Raises:
        ValueError: none of the holders has it.
    """
    parts = [part for holder in holders for part in (holder.parts() if isinstance(holder, Cell) else (holder,))]
    kinds = {name: kind for part in parts for name, kind in kinds_of(type(part)).items()}
    if any(isinstance(holder, Cell) for holder in holders):
        kinds["seed"] = int
    if name not in kinds:
        raise ValueError(nearest(name, sorted(kinds), kind="setting"))
    return kinds[name]


def _part(kind: type[Any], data: dict[str, Any]) -> Any:
    """An instance of a settings dataclass from plain data, refusing what it does not know."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k not in ("name", "version")}
    names = {f.name for f in fields(kind)}
    for name in values:
        if name not in names:
            raise ValueError(nearest(name, sorted(names), kind=f"setting of {kind.__name__}"))
    part = kind(**values)
    here = getattr(part, "revision", getattr(part, "version", None))
    if data.get("version", here) != here:
        raise ValueError(f"{data['name']} version {data['version']} was asked for; here is version {here}")
    return part
