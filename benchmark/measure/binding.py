"""Binding: what the answers of a trained cell about colors know.

`python -m benchmark.measure.binding OUT/cells/*` asks the cells of a run. A score of `colors` mixes two things: which
colors were read, and whose they were. Here they are taken apart, and the same is asked again of a network whose state
was thrown away before the question.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from baselines.base import Model
from benchmark.forward import Batch, eval_mode
from benchmark.rows.text import Table
from tasks.colors import Colors

BATCH = 32


def binding(model: Model, task: Colors, passes: int, examples: int, *, forget: bool = False) -> dict[str, float]:
    """Shares of held-out answers, by name.

    - "right": the token that scores highest of all is the answer; `exact_match` of rows.
    - "seen": it is one of the colors that were read; alone it takes no more than keeping their set.
    - "bound": of the colors that were read the right one scores highest. By chance 1 / facts.

    Args:
        model: A trained network.
        task: What it is asked.
        passes: N.
        examples: How many of the test split, from the first.
        forget: Whether the state is thrown away before the question.
    """
    marks = []
    with eval_mode(model), torch.no_grad():
        for start in range(0, examples, BATCH):
            episode = task.episodes("test", np.arange(start, min(start + BATCH, examples)))
            batch = Batch.of(episode, torch.device("cpu"))
            *read, (first, last, _) = batch.windows
            state = model.start(len(batch.inputs))
            for begin, end, _ in read:
                state = model.sleep(batch.inputs[:, begin:end], state, passes)
            state = model.start(len(batch.inputs)) if forget else state
            logits = model.wake(batch.inputs[:, first:last], state)[0][:, -1]
            colors, target = torch.from_numpy(task.colors_read(episode)), batch.targets[:, -1:]
            best = logits.argmax(dim=-1, keepdim=True)
            among = colors.gather(1, logits.gather(1, colors).argmax(dim=-1, keepdim=True))
            marks.append(
                torch.cat((best == target, (best == colors).any(dim=-1, keepdim=True), among == target), dim=-1)
            )
    shares = torch.cat(marks).double().mean(dim=0).tolist()
    return dict(zip(("right", "seen", "bound"), shares, strict=True))


def table(folders: Sequence[Path], examples: int) -> Table:
    """A line per trained cell, with its state and without.

    Raises:
        ValueError: a folder holds no trained cell, or one of another task.
    """
    from benchmark.measure.probe.states import network
    from benchmark.run.folder import CellFolder

    lines = []
    for folder in folders:
        cell = CellFolder(folder, trusted=False).cell
        if not isinstance(cell.task, Colors):
            raise ValueError(f"{folder} is a cell of task {cell.task.name!r}; this asks about colors")
        model = network(cell, folder)
        for forget in (False, True):
            shares = binding(model, cell.task, cell.training.sleep_passes, examples, forget=forget)
            values = (f"{share:.3f}" for share in shares.values())
            lines.append((str(cell.variant), str(cell.seed), "thrown away" if forget else "kept", *values))
    header = ("variant", "seed", "state", "right", "seen", "bound")
    return Table(header, lines, f"Answers about colors, {examples} of the test split")


if __name__ == "__main__":
    try:
        print(table([Path(text) for text in sys.argv[1:]], 256).markdown())
    except ValueError as error:
        print(f"binding: {error}", file=sys.stderr)
        sys.exit(2)
