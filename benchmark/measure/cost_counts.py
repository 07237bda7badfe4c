"""What every model and update rule costs, counted and not timed, as a Markdown table."""

from collections.abc import Callable, Mapping

import baselines
from baselines.base import Model, ModelConfig
from baselines.hybrid import MIXERS, Hybrid
from benchmark.cells.cost import forward_flops
from benchmark.measure.cost_tables import CONTEXT, size
from benchmark.measure.latency import build_model, counts, sequence
from benchmark.rows.text import Table, amount

WINDOW, PASSES = 75, (1, 4)
"""What is counted at."""


def models() -> dict[str, ModelConfig]:
    """Every registered model with its default settings."""
    return {name: baselines.load(name)() for name in baselines.MODELS}


def rules() -> dict[str, ModelConfig]:
    """The default hybrid with every update rule, by its word in the layout."""
    return {word: Hybrid(layout=f"attn {word} attn {word}") for word in MIXERS}


def markdown(
    configs: Mapping[str, ModelConfig], advance: Callable[[int], None] = lambda _: None, *, constraints: bool = False
) -> str:
    """What models cost, each under a name, as a Markdown table: counted, not timed.

    Args:
        configs: The models.
        advance: Hears of each.
        constraints: Whether to say, too, if a prediction keeps the latency of one plain pass, and if what is kept grows
            with the context.
    """
    first, last = PASSES
    heads = ["model", "parameters", f"FLOPs per token: sleep, N = {first}", f"sleep, N = {last}", "wake"]
    heads += ["bytes kept: fast weights, vectors", "keys and values", *["latency", "grows"] * constraints]
    lines = []
    for name, config in configs.items():
        one, model = counts(config, window=WINDOW, passes=first), build_model(config, WINDOW)
        more = forward_flops(model, sequence(WINDOW)[:CONTEXT], last)[0] / (CONTEXT * WINDOW)
        flops = map(amount, (one.sleep_flops_per_token, more, one.wake_flops_per_token))
        sizes = map(size, (one.fast_weight_bytes + one.other_state_bytes, one.kv_bytes))
        line = [f"`{name}`", amount(one.parameters), *flops, *sizes]
        if constraints:
            line += ["broken" if one.breaks_latency else "kept", "yes" if _grows(model) else "no"]
        lines.append(line)
        advance(1)
    return Table(heads, lines, sides=["---", *["---:"] * 6, *["---"] * (len(heads) - 7)]).markdown()


def _grows(model: Model) -> bool:
    """Whether all windows of the context leave more bytes than half of them."""
    half, whole = (
        model.state_bytes(forward_flops(model, sequence(WINDOW)[:windows], 1)[2]) for windows in (CONTEXT // 2, CONTEXT)
    )
    return whole > half
