"""A request: what the options of `bench run` and `bench show` ask for, as a value."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_origin

import baselines
import tasks
from baselines.addresses import attempt
from benchmark import environment
from benchmark.cells.cell import Cell, kind_of, parse_setting
from benchmark.cells.grids import Plan
from benchmark.cells.suites import suite
from benchmark.cells.tuning import TUNING, Tuning
from benchmark.rows import read_table
from tasks.values import numbers, parse


@dataclass(frozen=True, kw_only=True)
class Request:
    """A suite at a scale, and what is to be different in it.

    Attributes:
        suite: Name of the suite.
        scale: Name of the scale.
        task: Another task, by name or `package.module:Class`.
        model: Another model, by name or `package.module:factory`.
        seeds: Only these seeds; None leaves the suite's, as with the two below.
        sleep_passes: Only these N.
        rollout_steps: Only these depths t of Rule 110.
        hops: Tested at these numbers of hops k alone, of tasks that count them.
        operations: The same of operations.
        axes: Settings to run through, each `name=value,value`.
        variants: Only these variants of the suite.
        settings: Changed settings, each `name=value`.
        tune: The trials that choose learning rates for the arms that are asked for, in their place.
        trial_share: Part of the token budget that each trial gets, at most all of it.
        rates: Folder of such trials, whose choices the cells are trained at.
    """

    suite: str
    scale: str = "cpu"
    task: str | None = None
    model: str | None = None
    seeds: Sequence[int] | None = None
    sleep_passes: Sequence[int] | None = None
    rollout_steps: Sequence[int] | None = None
    hops: Sequence[int] | None = None
    operations: Sequence[int] | None = None
    axes: Sequence[str] = ()
    variants: Sequence[str] | None = None
    settings: Sequence[str] = ()
    tune: bool = False
    trial_share: float = TUNING.share
    rates: Path | None = None

    def cells(self) -> tuple[Cell, ...]:
        """The cells that are asked for, their trials, or the cells at the rates that trials chose.

        Raises:
            ValueError: as `plan`; or trials are missing.
        """
        cells, tuning = self.plan().cells(), self.tuning
        if self.rates is not None:
            if self.tune:
                raise ValueError("--tune chooses rates and --rates takes chosen ones: only one of them")
            cells = tuning.with_best_rates(cells, read_table(self.rates))
        return tuning.trials(cells) if self.tune else cells

    @property
    def tuning(self) -> Tuning:
        """How rates are chosen.

        Raises:
            ValueError: trials with no part of the budget, or with more than all of it; a part of no trials.
        """
        if not 0 < self.trial_share <= 1:
            raise ValueError(f"--trial-share {self.trial_share:g}: a part of the budget is above 0 and at most 1")
        if self.trial_share != TUNING.share and not self.tune:
            raise ValueError("--trial-share is the part of the budget that trials get: it goes with --tune")
        return replace(TUNING, share=self.trial_share)

    def plan(self) -> Plan:
        """The grids that are asked for, rates aside.

        Raises:
            ValueError: an unknown name, or a value that is refused.
        """
        plan = suite(self.suite, self.scale)
        plan = plan.with_task(tasks.load(self.task)) if self.task else plan
        kind = baselines.load(self.model) if self.model else None
        bases = [replace(base, model=kind()) for base in plan.bases] if kind else plan.bases
        changes = dict(parse_setting(text, *bases) for text in self.settings)
        if kind:
            plan = _with_tokenizer(plan.with_model(kind, changes))
        elif changes:
            plan = plan.with_settings(changes)
        for base in plan.bases:
            if kind or _lacks_checkpoint(base):
                attempt(base.model, vocab_size=base.task.vocab_size, window=base.task.window, seq_len=base.task.seq_len)
        plan = plan.sweep(dict(_axis(text, plan.bases) for text in self.axes))
        plan = plan.tested_at("hops", self.hops).tested_at("operations", self.operations)
        plan = plan.narrow(seed=self.seeds, sleep_passes=self.sleep_passes, rollout_steps=self.rollout_steps)
        return plan.only(self.variants)

    @property
    def folder(self) -> Path:
        """Where its rows go unless told otherwise: another task or model has a folder of its own."""
        parts = [self.suite, self.scale]
        parts += [re.sub(r"[^\w.-]+", "-", name) for name in (self.task, self.model) if name]
        parts += ["tuning"] * self.tune
        return Path("results") / "runs" / "-".join(parts)

    @property
    def title(self) -> str:
        """The request in words."""
        parts = [self.suite, f"scale {self.scale}"]
        parts += [f"task {self.task}"] if self.task else []
        return ", ".join(parts + ([f"model {self.model}"] if self.model else []))

    @property
    def command(self) -> str:
        """The command that runs it."""
        words = ["bench", "run", self.suite]
        words += ["--scale", self.scale] if self.scale != "cpu" else []
        for option, name in (("--task", self.task), ("--model", self.model)):
            words += [option, name] if name else []
        lists = {
            "--seeds": self.seeds,
            "--sleep-passes": self.sleep_passes,
            "--rollout-steps": self.rollout_steps,
            "--hops": self.hops,
            "--operations": self.operations,
            "--variants": self.variants,
        }
        for option, values in lists.items():
            words += [option, ",".join(map(str, values))] if values is not None else []
        words += ["--tune"] * self.tune
        words += ["--trial-share", f"{self.trial_share:g}"] if self.trial_share != TUNING.share else []
        if self.rates is not None:
            here = self.rates.is_relative_to(environment.ROOT)
            words += ["--rates", str(self.rates.relative_to(environment.ROOT) if here else self.rates)]
        words += [word for text in self.axes for word in ("--axis", text)]
        return shlex.join(words + [word for text in self.settings for word in ("--set", text)])


def _with_tokenizer(plan: Plan) -> Plan:
    """The plan with its texts cut by the tokenizer of its model, where a task reads texts and the model brings one."""
    folder: str | None = getattr(plan.bases[0].model, "tokenizer", None)
    lacks_tokenizer = any("tokenizer" in base.axes and not base.axes["tokenizer"] for base in plan.bases)
    return plan.with_settings({"tokenizer": folder}) if folder and lacks_tokenizer else plan


def _lacks_checkpoint(base: Cell) -> bool:
    """Whether the suite needs a pretrained decoder that nobody named, not even by the digest of its content."""
    return base.model.name == baselines.PRETRAINED and not (base.axes["folder"] or base.axes["checkpoint_sha256"])


def _axis(text: str, bases: Sequence[Cell]) -> tuple[str, tuple[Any, ...]]:
    """`name=value,value` from a command line, ranges of whole numbers as FIRST-LAST.

    Raises:
        ValueError: it is written otherwise, no cell has the setting, or a value of it is a list itself.
    """
    name, equals, values = text.partition("=")
    if not (equals and values):
        raise ValueError(f"an axis is written name=value,value; given {text!r}")
    kind = kind_of(name, *bases)
    if get_origin(kind) is tuple:
        raise ValueError(f"{name} is a list itself: --set {name}={values} gives it one, and no axis runs through it")
    items = numbers(name, values) if kind is int else [parse(name, part.strip(), kind) for part in values.split(",")]
    return name, tuple(dict.fromkeys(items))
