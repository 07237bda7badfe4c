"""Muon for the matrices inside blocks, AdamW for the rest, as in the paper; every argument written out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.base import Model
from benchmark.cells.cell import Training
from benchmark.run.adamw import AdamW
from benchmark.run.muon import Muon

_KINDS = (Muon, AdamW)


def split(model: Model) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters of Muon and those of AdamW: every parameter of the model once, however many layers share it."""
    matrices = list({id(weight): weight for weight in model.matrices()}.values())
    ids = {id(weight) for weight in matrices}
    return matrices, [p for p in model.parameters() if id(p) not in ids]


class MuonAdamW:
    """The two optimizers stepped as one, with a shared linear warm-up; in C, over the same state, if `native`."""

    def __init__(self, model: Model, training: Training, *, native: bool = False) -> None:
        matrices, rest = split(model)
        self.warmup_steps = training.warmup_steps
        self.parameters = [*matrices, *rest]
        self.clip = training.clip
        self.optimizers: list[torch.optim.Optimizer] = []
        if matrices:
            self.optimizers.append(
                Muon(
                    matrices,
                    lr=training.muon_lr,
                    weight_decay=training.weight_decay,
                    momentum=0.95,
                    nesterov=True,
                    ns_coefficients=(3.4445, -4.7750, 2.0315),
                    eps=1e-7,
                    ns_steps=5,
                    adjust_lr_fn="original",
                )
            )
        if rest:
            self.optimizers.append(
                AdamW(
                    rest,
                    lr=training.adam_lr,
                    betas=(0.9, 0.999),
                    eps=1e-8,
                    weight_decay=training.weight_decay,
                    amsgrad=False,
                    fused=True,
                )
            )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["full_lr"] = group["lr"]
        self.native: Callable[[], None] | None = None
        if native:
            from baselines.native.step import prepare

            muon, adam = ([o for o in self.optimizers if isinstance(o, kind)] for kind in _KINDS)
            self.native = prepare(muon[0] if muon else None, adam[0] if adam else None, training.clip)

    def step(self, step: int) -> None:
        """Clip the gradients, take step number `step` (from 0) and clear the gradients."""
        share = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * share
        if self.native:
            return self.native()
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, object]]:
        """The state of both, for a checkpoint."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        """Continue from `state_dict()` of the same model and settings."""
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
