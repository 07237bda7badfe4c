"""Errata, 1: score the wake-loop on Depo as usual, and with the tokens after each asked position of another example.

`python results/errata/later_tokens.py FOLDER SEED` scores the checkpoint in a folder that `bench run hop-controls
--variants wake-loop` wrote; `... train SEED STEPS` trains that many steps first. A copy runs on commit 607d8e4 too.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmark.cells.suites import suite
from benchmark.forward import Batch
from benchmark.run import checkpoint
from benchmark.run.trainer import Trainer
from tasks.base import IGNORE

EXAMPLES = 2048


def trained(source: str, seed: int, steps: int) -> Trainer:
    """The trainer of the wake-loop of a seed, with its network as it was trained."""
    (cell,) = (c for c in suite("hop-controls", "cpu").only(["wake-loop"]).cells() if c.seed == seed)
    trainer = Trainer(cell, Path(tempfile.mkdtemp()))
    if source == "train":
        for _, batch in zip(range(steps), trainer.batches(0), strict=False):
            trainer.train_step(batch)
            trainer.step += 1
    else:
        state = checkpoint.load(Path(source) / "cells" / cell.id / "checkpoint.pt", torch.device("cpu"))
        trainer.model.load_state_dict(state["model"])
        trainer.step = state["step"]
    return trainer


@torch.no_grad()
def scores(trainer: Trainer, *, swapped: bool) -> dict[int, float]:
    """Accuracy by k; `swapped`: what follows an asked position is what follows it in the next example."""
    task, passes = trainer.cell.task, trainer.cell.training.sleep_passes
    episode = task.episodes("test", np.arange(EXAMPLES), seed=0)
    inputs = Batch.of(episode, torch.device("cpu")).inputs
    state = trainer.model.sleep(inputs[:, : task.window], trainer.model.start(EXAMPLES), passes)
    asked, targets = inputs[:, task.window :], torch.from_numpy(episode.targets[:, task.window :])
    level = torch.from_numpy(episode.difficulty[:, task.window :])
    right: dict[int, list[torch.Tensor]] = {k: [] for k in task.levels}
    for at in range(asked.shape[1]):
        later = asked.roll(1, 0) if swapped else asked
        tokens = torch.cat((asked[:, : at + 1], later[:, at + 1 :]), dim=1)
        answers = trainer.model.wake(tokens, state)[0][:, at].argmax(-1)
        for k in task.levels:
            where = (targets[:, at] != IGNORE) & (level[:, at] == k)
            right[k].append((answers == targets[:, at])[where])
    return {k: round(torch.cat(found).double().mean().item(), 3) for k, found in right.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer = trained(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    tokens = trainer.step * trainer.tokens_per_step
    for swapped in (False, True):
        whose = "another example's" if swapped else "the example's own"
        print(f"{tokens} tokens, later tokens {whose}: {scores(trainer, swapped=swapped)}")
