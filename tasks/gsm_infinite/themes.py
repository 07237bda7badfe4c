"""The nouns of problems in words: three themes of the same arithmetic, in the wording that solvers know.

Kinds and places of a core problem and of its filler have names of their own, so that filler is separable by name. The
phrases of the two totals are those of the published benchmark: they alone tell a total of counts from one of products.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks import rng
from tasks.gsm_infinite.graphs import COUNT, RATE, TOTAL


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Names of kinds and places, core first, and the phrases they stand in.

    Names are ASCII words without " in ", " and " or punctuation, and none contains another, so that a phrase can be
    taken apart in one way.
    """

    name: str
    kinds: tuple[str, ...]  # core
    places: tuple[str, ...]
    filler_kinds: tuple[str, ...]
    filler_places: tuple[str, ...]
    offspring: str  # what the rates are of
    total: str  # what the total of counts is of
    product: str  # what the total of counts times rates is of

    def phrase(self, role: int, kind: str, place: str) -> str:
        """A quantity by its names, without the article; totals have no kind."""
        if role == COUNT:
            return f"number of {kind} in {place}"
        if role == RATE:
            return f"average number of {self.offspring} per {kind} in {place}"
        return f"total number of {self.total if role == TOTAL else self.product} in {place}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one problem: `kinds[k]` is the name of kind k of its graph, `places[p]` of place p."""

    theme: Theme
    kinds: tuple[str, ...]
    places: tuple[str, ...]


def names_in_order(theme: Theme) -> Names:
    """All names of a theme, core first, unshuffled: the numbering of `language.parse`."""
    return Names(theme, theme.kinds + theme.filler_kinds, theme.places + theme.filler_places)


def draw_names(
    themes: Sequence[Theme],
    key: np.uint64,
    indices: NDArray[np.int64],
    kinds: int,
    places: int,
    *,
    filler: bool = False,
) -> list[Names]:
    """Names of the examples `indices` [B], each with a theme of `themes`, shuffled.

    Args:
        themes: One is drawn per example.
        key: The stream of the names, as in `rng.words`.
        indices: The examples [B], >= 0.
        kinds: Core kinds of the graphs, at most `CORE`; those of the filler are numbered from here on.
        places: Core places of the graphs, likewise.
        filler: Whether names of filler are wanted; those of the core are the same either way.
    """
    chosen = rng.integers(rng.words(key, indices, 1)[:, 0], len(themes))
    shuffles = []
    start = 1
    for length, count in (CORE, kinds), (CORE, places), (FILLER, FILLER * filler), (FILLER, FILLER * filler):
        words = rng.words(key, indices, length if count else 0, start)
        shuffles.append(np.argsort(words, axis=1, kind="stable")[:, :count].tolist())
        start += length
    return [
        Names(
            theme=(theme := themes[t]),
            kinds=tuple([theme.kinds[i] for i in k] + [theme.filler_kinds[i] for i in filler_k]),
            places=tuple([theme.places[i] for i in p] + [theme.filler_places[i] for i in filler_p]),
        )
        for t, k, p, filler_k, filler_p in zip(chosen.tolist(), *shuffles, strict=True)
    ]


CORE = 8  # core kinds and core places of every theme
FILLER = 48  # filler kinds and filler places of every theme: 2304 counts and as many rates


def _list(text: str, before: str = "") -> tuple[str, ...]:
    return tuple(before + name for name in text.split(", "))


def _pairs(first: str, second: str, before: str = "") -> tuple[str, ...]:
    """Every one of the first before every one of the second."""
    return tuple(f"{before}{a} {b}" for a in first.split(", ") for b in second.split(", "))


_THEMES = (
    Theme(
        name="animals",
        kinds=_list("badger, stoat, woodpecker, toad, marmot, stork, weasel, bream", before="adult "),
        places=_list(
            "Willow Marsh, Granite Gully, Heather Moor, Juniper Slope, Pebble Beach, Foxglove Meadow, Reed Pond, "
            "Chalk Quarry"
        ),
        filler_kinds=_pairs(
            "striped, spotted, tufted, dusky, pale, banded",
            "finch, shrew, beetle, trout, viper, goat, moth, swan",
            before="adult ",
        ),
        filler_places=_pairs(
            "Misty, Windy, Sunken, Distant, Quiet, Barren",
            "Steppe, Lagoon, Thicket, Estuary, Plateau, Canyon, Delta, Orchard",
        ),
        offspring="newborn children",
        total="adult animals",
        product="newborn animal children",
    ),
    Theme(
        name="schools",
        kinds=_list(
            "music school, nursing college, sailing school, grammar school, pottery school, law college, "
            "riding school, village kindergarten"
        ),
        places=_list("Lindenport, Marlow Bridge, Tarnholm, Oxbury, Saltcross, Elmstead, Dunmere, Wickham Hill"),
        filler_kinds=_pairs(
            "weekend, evening, boarding, distance, veteran, seaside",
            "chess academy, cookery academy, ballet studio, beekeeping course, carpentry workshop, language institute, "
            "pilot seminar, drama club",
        ),
        filler_places=_pairs(
            "North, South, Upper, Lower, Old, New", "Brackley, Corwen, Fenwick, Garston, Hollin, Kelby, Penrose, Thorne"
        ),
        offspring="teachers",
        total="schools",
        product="teachers from all schools",
    ),
    Theme(
        name="movies",
        kinds=_list(
            "slapstick comedy, courtroom drama, desert western, spy caper, haunted romance, dance opera, "
            "sports biopic, pirate adventure"
        ),
        places=_list(
            "Harbour Film Week, Lantern Screen Days, Vineyard Reel Forum, Copper Camera Fair, Alpine Picture Show, "
            "Marina Short Night, Cobalt Cinema Summit, Orchid Premiere Series"
        ),
        filler_kinds=_pairs(
            "silent, animated, experimental, documentary, improvised, hypnotic",
            "travelogue, melodrama, whodunit, farce, parable, anthology, fairytale, satire",
        ),
        filler_places=_pairs(
            "Granada, Tampere, Leeds, Bergen, Nantes, Porto",
            "Biennale, Showcase, Retrospective, Marathon, Weekender, Carnival, Jamboree, Rendezvous",
        ),
        offspring="nominations",
        total="movies",
        product="movie nominations",
    ),
)

THEMES = {theme.name: theme for theme in _THEMES}
