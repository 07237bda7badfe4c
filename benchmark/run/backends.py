"""What runs the blocks of a model that is trained."""

import sys

from baselines.base import Model


def use_native(model: Model, *, must: bool) -> bool:
    """Let a model's blocks run in C, if they can; else say on stderr why they run in torch.

    Raises:
        ValueError: they must and cannot; the message says why.
    """
    from baselines.native.block import attach, obstacle

    if not must and (reason := obstacle(model)):
        print(f"blocks run in torch: {reason}", file=sys.stderr)
        return False
    attach(model)
    return True
