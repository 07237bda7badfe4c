"""Where a training step goes: thread time by part, and beside it that of the step's matrix products alone.

Steps with marks between the parts and steps without take turns, on the batches that training would read. The parts'
shares are those of the marked steps; the step they are shares of is the median of the plain ones, so that marks cost
nothing in what is told. Batches are made several at once: data is the mean of as many as are made together.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from benchmark.cells.cell import Cell
from benchmark.measure.latency import one_thread, quartiles
from benchmark.measure.profile_tables import DATA, OPTIMIZER, PARTS
from benchmark.measure.profiling import products, stopwatch
from benchmark.measure.profiling.stopwatch import Stopwatch
from benchmark.run.together import batches_at_once
from benchmark.run.trainer import Trainer

WARM_UP = 2

Row: TypeAlias = dict[str, Any]


def profile(cell: Cell, *, backend: str, steps: int, advance: Callable[[int], None] = lambda _: None) -> Row:
    """Where a training step of a cell goes on one core.

    Args:
        cell: The cell; nothing of it is written.
        backend: "torch" or "native".
        steps: Steps of each kind, with marks and without.
        advance: Called with 1 after every step, `work(steps)` times.

    Returns:
        `backend`; `seconds`, by part, that add up to `total_s`; `step_s`, the step without data, with its quartiles;
        `marks`, how many times as long a step with marks took; `products_s`; `tokens_per_s`, data included.

    Raises:
        ValueError: the backend does not run the model.
    """
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        training = {"tokens": work(steps) * cell.training.batch * cell.task.seq_len}
        cell = cell.with_settings(training | {"warmup_steps": min(cell.training.warmup_steps, work(steps))})
        trainer = Trainer(cell, Path(folder), backend=backend)
        alone = products.seconds(products.shapes(Trainer(cell, Path(folder))))
        data, batches = _data(trainer)
        watch = Stopwatch()
        stopwatch.attach(watch, trainer.model)
        trainer.optimizer.step = watch.time_call(trainer.optimizer.step, OPTIMIZER)  # type: ignore[method-assign]
        plain: list[float] = []
        with_marks: list[dict[str, float]] = []
        for turn in range(work(steps)):
            batch = batches[turn % len(batches)]
            if turn % 2:
                watch.start()
                trainer.train_step(batch)
                with_marks.append(watch.stop())
            else:
                start = time.thread_time()
                trainer.train_step(batch)
                plain.append(time.thread_time() - start)
            trainer.step += 1
            advance(1)
    plain, with_marks = plain[WARM_UP:], with_marks[WARM_UP:]
    parts = {part: median(step[part] for step in with_marks) for part in PARTS}
    whole, step = sum(parts.values()), median(plain)
    seconds = {part: step * part_s / whole for part, part_s in parts.items()} | {DATA: data}
    return {
        "backend": trainer.backend,
        "seconds": {part: part_s for part, part_s in seconds.items() if part_s},
        "total_s": step + data,
        **quartiles("step", plain),
        "steps": len(plain),
        "marks": median(sum(step.values()) for step in with_marks) / step,
        "products_s": alone,
        "tokens_per_s": trainer.tokens_per_step / (step + data),
    }


def work(steps: int) -> int:
    """How many steps `profile` takes in all."""
    return 2 * (WARM_UP + steps)


def _data(trainer: Trainer) -> tuple[float, list[Any]]:
    """Thread seconds that a batch takes, and the batches made at once, or a few if each is made alone."""
    count = max(3, batches_at_once(trainer.cell.task, trainer.cell.training.batch))
    batches = trainer.batches(0)
    next(batches)  # the first one pays for tables that are made once
    batches = trainer.batches(0)
    start = time.thread_time()
    first_batches = [batch for batch, _ in zip(batches, range(count), strict=False)]
    return (time.thread_time() - start) / len(first_batches), first_batches
