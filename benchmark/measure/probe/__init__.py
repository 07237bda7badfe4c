"""What is in the fast weights? Linear probes of S after every pass of a sleep, for one trained cell.

Probes are fitted on examples of the validation split, none of which the model was trained on, and scored on those of
the test split; contents are disjoint. The penalty is chosen on validation examples whose contents are in no fit. What S
is, pass by pass, says `probe.states`. A score means something against its controls: the same probe of the
untrained network, of the tokens themselves, and with shuffled values.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.measure.probe.linear_probe import Reading, Sample, read_off
from benchmark.measure.probe.states import Examples, FastWeights, effective_rank, fast_weights, matrices, network
from benchmark.rows import Status
from benchmark.run.evaluate import TEST_SEED
from tasks.base import Task

SPECTRUM_EXAMPLES = 512
"""Examples that norms and ranks are means over."""

MOST_TOKEN_FEATURES = 4096
"""With more, the control that reads the tokens is left out."""

CHOOSE_SHARE = 5
"""One validation content in so many is for choosing the penalty."""


def probe(
    cell: Cell,
    folder: Path,
    *,
    settings: str = "",
    examples: int = 8192,
    test_examples: int = 4096,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[list[rows.Row], list[rows.Row]]:
    """Rows of the tables `PROBES` and `SPECTRA` (`benchmark.measure.probe.tables`) of one trained cell.

    Args:
        cell: What was trained.
        folder: Its own folder, with its checkpoint and its rows.
        settings: What tells it from other cells beside difficulty, N and seed.
        examples: Of the validation split, to fit on and to choose penalties on.
        test_examples: Of the test split.
        advance: Called with 1 after each pass.

    Raises:
        ValueError: the task has nothing to probe, or the model no fast weights.
        DamagedFileError: the checkpoint is not what was written.
    """
    parts = examples_of(cell.task, examples, test_examples)
    networks = network(cell, folder), network(cell)
    if not networks[0].start(1).fast_weights:
        raise ValueError(f"model {cell.model.name!r} has no fast weights to probe")
    facts, own = cell_facts(cell, folder, settings), own_accuracy(cell, folder)
    tokens = token_readings(cell.task, parts, seed=cell.seed)
    passes, precision = cell.training.sleep_passes, cell.training.precision

    def slept(n: int, part: Examples) -> list[FastWeights]:
        """S after pass n of the trained and of the untrained network."""
        return [fast_weights(model, part, passes=n, trained_passes=passes, precision=precision) for model in networks]

    probes: list[rows.Row] = []
    spectra: list[rows.Row] = []
    before = slept(0, parts[-1])
    for n in range(1, passes + 1):
        after = [slept(n, part) for part in parts]  # [fit, choose, test][trained, untrained]
        here = facts | {"pass": n}
        for block in selections(len(after[0][0])):
            readings, control = (
                read_off(
                    *(
                        Sample(features=flat(s[kind], block), memories=p.memories)
                        for s, p in zip(after, parts, strict=True)
                    ),
                    seed=cell.seed,
                )
                for kind in (0, 1)
            )
            for i, memory in enumerate(parts[-1].memories):
                probes.append(
                    here
                    | {"block": block, "kind": memory.kind, "step": memory.step, "stored": memory.stored}
                    | _scores(readings[i])
                    | {
                        "untrained": control[i].accuracy,
                        "tokens": tokens[i].accuracy if tokens else None,
                        "chance": memory.chance,
                        "model_accuracy": own.get(memory.asked),
                        "classes": memory.classes,
                        "features": flat(after[-1][0], block).shape[1],
                    }
                )
        spectra += [here | row for row in spectrum(before, after[-1])]
        before = after[-1]
        advance(1)
    return probes, spectra


def examples_of(task: Task, examples: int, test_examples: int) -> tuple[Examples, Examples, Examples]:
    """Examples to fit on, to choose the penalty on, and to score on; no content of one is in another.

    Raises:
        ValueError: the task has nothing to probe, or too few different contents.
    """
    episode = task.episodes("validation", np.arange(examples), seed=TEST_SEED)
    if not task.memories(episode):
        raise ValueError(f"task {task.name!r} has nothing to probe at these settings")
    choosing = episode.content[:, 0] % np.uint64(CHOOSE_SHARE) == 0
    if not 0 < choosing.sum() < len(choosing):
        raise ValueError(
            f"the validation split of task {task.name!r} has too few different contents at these settings to both fit "
            f"probes and choose their penalty: {len(np.unique(episode.content[:, 0]))} among {examples} examples"
        )
    test = task.episodes("test", np.arange(test_examples), seed=TEST_SEED)
    return Examples.of(task, episode, ~choosing), Examples.of(task, episode, choosing), Examples.of(task, test)


def selections(blocks: int) -> list[int | None]:
    """What is probed: all blocks together (None) and, where there are several, each by itself."""
    return [None, *(range(blocks) if blocks > 1 else ())]


def flat(weights: FastWeights, block: int | None) -> Tensor:
    """The fast weights of one block, or of all, as features [E, F]."""
    return torch.cat([w.flatten(1) for b, w in enumerate(weights) if block in (None, b)], dim=1)


def token_readings(task: Task, parts: tuple[Examples, ...], *, seed: int) -> list[Reading]:
    """Readings of the tokens that were consolidated, one-hot by position; none where there are too many."""
    positions = [t for start, stop, has_targets in parts[0].windows if not has_targets for t in range(start, stop)]
    if len(positions) * task.vocab_size > MOST_TOKEN_FEATURES:
        return []
    fit, choose, test = (
        Sample(
            features=torch.nn.functional.one_hot(part.inputs[:, positions], task.vocab_size).flatten(1),
            memories=part.memories,
        )
        for part in parts
    )
    return read_off(fit, choose, test, seed=seed)


def spectrum(before: list[FastWeights], after: list[FastWeights]) -> Iterator[rows.Row]:
    """Norm, effective rank and change of every matrix of every block, from S [trained, untrained] of test examples."""
    for block in range(len(after[0])):
        earlier, later, control = (
            matrices(weights[block][:SPECTRUM_EXAMPLES]).double() for weights in (before[0], after[0], after[1])
        )
        norm, norm_before = torch.linalg.matrix_norm(later), torch.linalg.matrix_norm(earlier)
        change = torch.linalg.matrix_norm(later - earlier) / (norm + norm_before).clamp_min(1e-30)
        measures = {
            "norm": norm,
            "effective_rank": effective_rank(later),
            "change": change,
            "untrained_norm": torch.linalg.matrix_norm(control),
            "untrained_rank": effective_rank(control),
        }
        for head in range(later.shape[1]):
            means = {name: float(values[:, head].mean()) for name, values in measures.items()}
            yield {"block": block, "head": head, **means, "size": min(later.shape[-2:])}


def own_accuracy(cell: Cell, folder: Path) -> dict[int | None, float]:
    """The model's own accuracy per answer at the end of training, by difficulty, from the rows in its folder."""
    answers = [
        row
        for row in rows.read(folder / "rows.jsonl")
        if row["status"] == Status.OK
        and row["answer"] is not None
        and row["tested_passes"] == cell.training.sleep_passes
    ]
    last = [row for row in answers if row["step"] == answers[-1]["step"]]
    levels = {row["difficulty"] for row in last}
    return {level: float(np.mean([r["exact_match"] for r in last if r["difficulty"] == level])) for level in levels}


def cell_facts(cell: Cell, folder: Path, settings: str) -> rows.Row:
    """The columns of a cell that every row of both tables has."""
    cell_rows = rows.read(folder / "rows.jsonl")
    return {
        "suite": cell_rows[-1].get("suite") if cell_rows else None,
        "scale": cell_rows[-1].get("scale") if cell_rows else None,
        "cell_id": cell.id,
        "task": cell.task.name,
        "model": cell.model.name,
        "settings": settings,
        "axis": cell.task.axis,
        "difficulty": cell.difficulty,
        "sleep_passes": cell.training.sleep_passes,
        "seed": cell.seed,
    }


def _scores(reading: Reading) -> rows.Row:
    return {name: getattr(reading, name) for name in ("accuracy", "shuffled", "majority", "penalty", "n_fit", "n_test")}
