"""S after every pass of a sleep, on held-out examples, and what can be said of it without a probe: norm and rank.

S after pass n is that of a sleep of n passes over the last consolidated window, the windows before having had all N:
pass by pass the network does the same whatever N is, so nothing need be hooked. It is exactly what pass n of N leaves,
with one exception: blocks behind the looped range (`loop="middle"`) are run once, after the last pass, and are shown as
if pass n were the last. With `reset_state`, S after pass n is what pass n wrote, though the next pass does not read it;
with sliding eviction S alone is probed, not the keys and values that are kept beside it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.base import Model
from benchmark.cells.cell import Cell
from benchmark.forward import Windows, autocast, split_windows
from benchmark.run import checkpoint
from tasks.base import Episode, Task
from tasks.memories import Memory

BATCH = 1024
"""Examples slept over at once; it bounds memory and changes no number."""

FastWeights = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Examples of one split, for one job."""

    inputs: Tensor
    """Token ids [E, T]."""
    windows: Windows
    """How they are cut."""
    memories: tuple[Memory, ...]
    """What a memory may hold of them."""
    content: NDArray[np.uint64]
    """[E, C] hashes of what their split owns."""

    @classmethod
    def of(cls, task: Task, episode: Episode, rows: NDArray[np.bool_] | slice = slice(None)) -> "Examples":
        """Some of an episode's examples."""
        return cls(
            inputs=torch.from_numpy(episode.inputs[rows]),
            windows=split_windows(episode),
            memories=tuple(replace(m, values=m.values[rows]) for m in task.memories(episode)),
            content=episode.content[rows],
        )

    @property
    def last(self) -> int:
        """The number of the last window that is consolidated."""
        return max(number for number, (*_, has_targets) in enumerate(self.windows) if not has_targets)


@torch.no_grad()
def fast_weights(model: Model, examples: Examples, *, passes: int, trained_passes: int, precision: str) -> FastWeights:
    """S after `passes` passes over the last consolidated window, a tensor [E, ...] per block.

    Windows before it are slept over `trained_passes` times; passes 0 is S before that window.
    """
    states = []
    for inputs in torch.split(examples.inputs, BATCH):
        state = model.start(len(inputs))
        with autocast(inputs.device, precision):
            for number, (start, stop, has_targets) in enumerate(examples.windows[: examples.last + 1]):
                tokens = inputs[:, start:stop]
                if has_targets:
                    _, state = model.wake(tokens, state)
                elif number < examples.last:
                    state = model.sleep(tokens, state, trained_passes)
                elif passes:
                    state = model.sleep(tokens, state, passes)
        states.append(state.fast_weights)
    return tuple(torch.cat(blocks).float() for blocks in zip(*states, strict=True))


def network(cell: Cell, folder: Path | None = None) -> Model:
    """The cell's network as its seed draws it or, from the checkpoint in its folder, as it was trained.

    Raises:
        DamagedFileError: the checkpoint is not what was written, or is another cell's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.seed)
        task = cell.task
        model = cell.model.build(vocab_size=task.vocab_size, window=task.window, seq_len=task.seq_len).eval()
    if folder is not None:
        checkpoint.restore(folder / "checkpoint.safetensors", cell.id, model, device=torch.device("cpu"))
    return model


def matrices(weights: Tensor) -> Tensor:
    """The matrices [E, M, K, V] of a block's fast weights [E, ..., K, V]; a rule may keep several per head."""
    return weights.reshape(len(weights), -1, *weights.shape[-2:])


def effective_rank(weights: Tensor) -> Tensor:
    """Exp of the entropy of the normalised singular values (Roy, Vetterli 2007) of matrices [..., K, V]; 0 of zeros."""
    values = torch.linalg.svdvals(weights.double())
    total = values.sum(-1, keepdim=True)
    share = values / total.clamp_min(torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(share).sum(-1).exp() * (total[..., 0] > 0)
    return rank
