"""Linear probes: ridge regression on one-hot values, solved in closed form. Deterministic, no step size to choose.

Every item has a probe of its own, fitted on the examples that have the item. One system is solved for all items that
the same examples have, and for the shuffled values of those examples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.memories import Memory
from tasks.ragged import ABSENT

PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""L2 penalties that are tried, per example, on features of unit variance; of two that are as good, the first."""

Values = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Examples for one job: fitting, choosing the penalty, or scoring."""

    features: Tensor
    """[E, F]."""
    memories: tuple[Memory, ...]
    """What is looked for, values [E, M]; the same memories in every sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How well the items of one memory are read off examples that nothing was fitted or chosen on."""

    accuracy: float
    shuffled: float
    """The same where each item's values were shuffled among the examples before fitting."""
    majority: float
    """The same of always an item's most frequent value of fitting."""
    penalty: float
    """The one of `PENALTIES` that was chosen, the median over items."""
    n_fit: float
    """Examples that an item was fitted on, on average."""
    n_test: int
    """Items that were scored."""


def read_off(fit: Sample, choose: Sample, test: Sample, *, seed: int = 0) -> list[Reading]:
    """One reading per memory: probes fitted on `fit`, each with the penalty that reads `choose` best, scored on `test`.

    Raises:
        ValueError: there is no example to fit, choose or score some memory on.
    """
    for job, sample in (("fit", fit), ("choose", choose), ("score", test)):
        for memory in sample.memories:
            if not (memory.values != ABSENT).any():
                raise ValueError(f"no example to {job} {memory.kind!r} at step {memory.step} on: take more examples")
    x_fit, x_choose, x_test = standardise(fit.features, choose.features, test.features)
    y_fit, y_choose, y_test = (
        np.concatenate([memory.values for memory in sample.memories], axis=1) for sample in (fit, choose, test)
    )
    classes = max(memory.classes for memory in fit.memories)
    right = np.zeros((2, y_fit.shape[1]), dtype=np.int64)  # of each item, by probes of [true, shuffled] values
    penalty = np.full(y_fit.shape[1], np.nan)
    shuffle = np.random.default_rng(seed)
    for rows, items in item_groups(y_fit != ABSENT):
        true = y_fit[np.ix_(rows, items)]
        values = np.concatenate([true, shuffle.permuted(true, axis=0)], axis=1)
        solutions = list(ridge(x_fit[rows], torch.from_numpy(one_hot(values, classes))))
        twice = np.concatenate([items, items])
        score = [(predictions(x_choose, *probes, classes) == y_choose[:, twice]).sum(axis=0) for probes in solutions]
        best = np.argmax(score, axis=0)
        weights, offset = (torch.stack(parts) for parts in zip(*solutions, strict=True))
        column, of = torch.arange(weights.shape[-1]), torch.from_numpy(best).repeat_interleave(classes)
        guesses = predictions(x_test, weights[of, :, column].T, offset[of, column], classes)
        right[:, items] = (guesses == y_test[:, twice]).sum(axis=0).reshape(2, -1)
        penalty[items] = np.array(PENALTIES)[best[: len(items)]]
    most = np.array([np.bincount(y[y != ABSENT], minlength=1).argmax() for y in y_fit.T])
    majority_hits = (y_test == most).sum(axis=0)
    fit_counts, test_counts = ((y != ABSENT).sum(axis=0) for y in (y_fit, y_test))
    ends = np.cumsum([0, *(memory.values.shape[1] for memory in fit.memories)]).tolist()
    return [
        Reading(
            accuracy=float(right[0, mine].sum() / test_counts[mine].sum()),
            shuffled=float(right[1, mine].sum() / test_counts[mine].sum()),
            majority=float(majority_hits[mine].sum() / test_counts[mine].sum()),
            penalty=float(np.nanmedian(penalty[mine])),
            n_fit=float(fit_counts[mine].mean()),
            n_test=int(test_counts[mine].sum()),
        )
        for mine in map(slice, ends, ends[1:])
    ]


def standardise(fit: Tensor, *others: Tensor) -> Iterator[Tensor]:
    """Features [E, F] in float64, all with the mean and the spread that those of fitting have."""
    mean, spread = fit.double().mean(0), fit.double().std(0, correction=0)
    # A feature that hardly moves is rounding error: at unit variance it would be noise as loud as any signal.
    spread[spread <= 1e-6 * spread.max()] = torch.inf
    return ((features.double() - mean) / spread for features in (fit, *others))


def item_groups(present: NDArray[np.bool_]) -> Iterator[tuple[Values, Values]]:
    """(examples, items) for each set of items [I] that the same examples [E] have; items that none has are left out."""
    _, group = np.unique(present.T, axis=0, return_inverse=True)
    for number in range(group.max() + 1):
        items = np.flatnonzero(group == number)
        if (rows := np.flatnonzero(present[:, items[0]])).size:
            yield rows, items


def predictions(x: Tensor, weights: Tensor, offset: Tensor, classes: int) -> Values:
    """The values [E, I] that probes of I items, weights [F, I * classes], say of features [E, F]."""
    guesses: Values = (x @ weights + offset).reshape(len(x), -1, classes).argmax(-1).numpy()
    return guesses


def one_hot(values: Values, classes: int) -> NDArray[np.float64]:
    """Values [E, I] as [E, I * classes]."""
    hot: NDArray[np.float64] = np.eye(classes)[values].reshape(len(values), values.shape[1] * classes)
    return hot


def ridge(x: Tensor, y: Tensor, penalties: Sequence[float] = PENALTIES) -> Iterator[tuple[Tensor, Tensor]]:
    """Weights [F, C] and offset [C] of each penalty: least squares from x [E, F] to y [E, C] plus it times the weights.

    Both means are free of penalty. With more features than examples it is solved in examples, which is the same.
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    wide = x.shape[1] > len(x)
    system = (x @ x.mT if wide else x.mT @ x) / len(x)
    right_side = (y if wide else x.mT @ y) / len(x)
    diagonal = system.diagonal().clone()
    for penalty in penalties:
        system.diagonal().copy_(diagonal + penalty)
        solution = torch.cholesky_solve(right_side, torch.linalg.cholesky(system))
        weights = x.mT @ solution if wide else solution
        yield weights, y_mean - x_mean @ weights
