"""How far Depo is solved by a guess that knows a part of the cycle: what is no sign of k hops."""


def partial_knowledge(nodes: int, hops: int) -> dict[str, float]:
    """Chance to be right, exact, of guesses among the nodes that are left when some are known.

    All of them know n and the names, and so k mod n; the start itself is never the answer. `neighbours` knows the nodes
    one hop before and after the start, where the answer is neither; `shorter_hops` all that lie fewer hops away than
    the answer, for which one hop less than k is enough. Empty for whole rounds.
    """
    beyond = hops % nodes
    if not beyond:
        return {}
    guesses = {"shorter_hops": 1 / (nodes - beyond)}
    if 1 < beyond < nodes - 1:
        guesses["neighbours"] = 1 / (nodes - 3)
    return guesses
