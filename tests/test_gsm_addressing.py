"""Problem graphs: addressed, held out by content, whatever the filler, and drawn again only so often."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tasks import rng
from tasks.gsm_infinite.generator import Shape, batch, draw, statistics
from tasks.gsm_infinite.generator.content import content
from tasks.gsm_infinite.graphs import COUNT, NONE, RATE, TOTAL, VALUE_SENTENCE, Graphs

KEY = rng.stream("graphs")
SHAPES = [Shape(subset=subset, mode=mode) for subset in ("medium", "hard") for mode in ("forward", "reverse")]
SPLITS = ("train", "validation", "test")
ARRAYS = [field.name for field in fields(Graphs) if field.name not in ("filler_kind", "filler_place")]


def every_operation(shape: Shape, each: int) -> np.ndarray:
    return np.tile(np.arange(shape.fewest_operations, shape.most_operations + 1), each)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.subset}-{shape.mode}")
def test_an_example_is_the_same_in_every_batch(shape: Shape) -> None:
    indices = np.arange(400)
    operations = every_operation(shape, 30)[:400]
    whole, rejected = draw(shape, operations, "validation", indices, KEY, filler=7)
    parts = [slice(399, None, -3), slice(100, 300), *(slice(i, i + 2) for i in range(0, 60, 2))]
    for part in parts:
        graphs, _ = draw(shape, operations[part], "validation", indices[part], KEY, filler=7)
        for name in ARRAYS:
            assert (getattr(graphs, name) == getattr(whole, name)[part]).all(), name
    halves = [draw(shape, operations[half::2], "validation", indices[half::2], KEY)[1] for half in (0, 1)]
    assert sum(halves) == rejected
    other, _ = draw(shape, operations, "validation", indices, rng.stream("other"))
    assert (other.content != whole.content).mean() > 0.95
    none, rejected = draw(shape, 4, "train", indices[:0], KEY, filler=3)
    assert (len(none.role), len(none.order), rejected) == (0, 0, 0)


def test_filler_leaves_the_problem_as_it_is() -> None:
    """More of it keeps what there was, and the order of the sentences there were."""
    shape, indices = Shape(mode="reverse"), np.arange(50)
    bare, some, more = (draw(shape, 6, "train", indices, KEY, filler=filler)[0] for filler in (0, 30, 90))
    for less, longer in ((bare, some), (some, more)):
        for name in ("asked", "given", "operations", "content"):
            assert (getattr(less, name) == getattr(longer, name)).all()
        for b in range(len(indices)):
            count = int((less.role[b] != NONE).sum())
            for name in ("role", "kind", "place", "constant", "times", "difference", "operands", "value", "needed"):
                assert (getattr(less, name)[b, :count] == getattr(longer, name)[b, :count]).all()
            kept = [q for q in longer.order[b].tolist() if q < count]
            core = count if less is bare else int((bare.role[b] != NONE).sum())
            assert [q for q in kept if NONE != q < core] == [q for q in less.order[b].tolist() if NONE != q < core]
    counts = np.bincount(np.unique(more.place[more.place >= more.filler_place]))
    assert np.flatnonzero(counts).tolist() == [8, 9, 10, 11, 12]  # 90 quantities, 20 kinds per place
    # A core sentence is first as often as the core's share of all sentences.
    many, _ = draw(shape, 6, "train", np.arange(2000), KEY, filler=30)
    length, core = (many.order != NONE).sum(axis=1), (many.role != NONE).sum(axis=1) - 30
    assert abs((many.order[:, 0] < core).mean() - ((length - 30) / length).mean()) < 0.04


def disguised(graphs: Graphs, seed: int) -> Graphs:
    """The same problems with other numbers, kinds, places and order of sentences and operands."""
    width = graphs.role.shape[1]
    new = np.argsort(rng.words(np.uint64(seed), np.arange(1), width)[0])  # new number of each
    old = np.argsort(new)
    number = np.append(new, [VALUE_SENTENCE, NONE])  # by old number, from the end for those below 0
    names = {}
    for name, first in (("kind", graphs.filler_kind), ("place", graphs.filler_place)):
        array = getattr(graphs, name)[:, old]
        names[name] = np.where((array >= 0) & (array < first), (first - 1 - array + seed) % first, array)
    operands = number[graphs.operands[:, old]]
    three, ordered = (operands != NONE).sum(axis=2) == 3, graphs.difference[:, old]
    operands[three] = operands[three][:, [2, 0, 1]]
    two = ((operands != NONE).sum(axis=2) == 2) & ~ordered
    operands[two] = operands[two][:, [1, 0, 2]]
    arrays = {name: getattr(graphs, name)[:, old] for name in ("role", "constant", "times", "difference", "value")}
    return replace(
        graphs,
        **arrays,
        **names,
        operands=operands,
        needed=graphs.needed[:, old],
        order=number[graphs.order][:, ::-1],
        asked=number[graphs.asked],
        given=number[graphs.given],
        content=np.zeros_like(graphs.content),
        determinant=graphs.determinant,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.subset}-{shape.mode}")
def test_content_is_what_is_computed(shape: Shape) -> None:
    operations = every_operation(shape, 12)
    graphs, _ = draw(shape, operations, "train", np.arange(len(operations)), KEY, filler=3)
    assert (content(graphs) == graphs.content).all()
    copy = disguised(graphs, 5)
    assert (content(copy) == graphs.content).all()
    for name, values in statistics(graphs).items():
        assert (statistics(copy)[name] == values).all()
    row = np.arange(len(operations))
    stated = (graphs.role >= 0) & (graphs.role < TOTAL) & (graphs.place < graphs.filler_place)
    q = np.argmax(stated & (graphs.constant > 0), axis=1)
    constant = graphs.constant.copy()
    constant[row, q] = 2 + constant[row, q] % 3  # another one
    assert (content(replace(graphs, constant=constant)) != graphs.content)[graphs.constant[row, q] > 1].all()
    # A copy of another quantity, where that is not its equal.
    q = np.argmax(stated & (graphs.operands[:, :, 0] > 0), axis=1)
    operands = graphs.operands.copy()
    operands[row, q, 0] -= 1
    changed = (operands[row, q, :1] != graphs.operands[row, q]).all(axis=1) & (operands[row, q, 0] >= 0)
    assert (content(replace(graphs, operands=operands)) != graphs.content)[changed].mean() > 0.8
    flipped = replace(graphs, role=np.where(stated, COUNT + RATE - graphs.role, graphs.role))
    assert not shape.hard or (content(flipped) != graphs.content).mean() > 0.9
    asked = np.where(graphs.given == NONE, graphs.asked, graphs.given)
    turned = replace(graphs, asked=asked, given=np.where(graphs.given == NONE, asked, NONE))
    assert (content(turned) != graphs.content).all()


@pytest.mark.parametrize(
    "shape", [*SHAPES, Shape(subset="medium", kinds=4, places=1), Shape(kinds=2, places=1)], ids=str
)
def test_splits_are_disjoint_by_content(shape: Shape) -> None:
    operations = np.tile([shape.fewest_operations, 4], 700)
    indices = np.arange(len(operations))
    contents = {split: set(draw(shape, operations, split, indices, KEY)[0].content.tolist()) for split in SPLITS}
    assert all(len(own) > 100 for own in contents.values())
    assert sum(map(len, contents.values())) == len(set.union(*contents.values()))


def test_accepted_problems_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, indices = Shape(mode="reverse"), np.arange(200)

    def few(graphs: Graphs) -> np.ndarray:
        assert (graphs.answer > 0).all()  # what is shown is a problem, whether accepted or not
        return (graphs.order != NONE).sum(axis=1) <= 11

    graphs, rejected = draw(shape, 4, "train", indices, KEY, filler=2, accept=few)
    assert ((graphs.order != NONE).sum(axis=1) <= 13).all()
    free, fewer = draw(shape, 4, "train", indices, KEY, filler=2)
    assert 40 < fewer < 150 < 400 < rejected < 2000
    assert (graphs.content == free.content)[few(draw(shape, 4, "train", indices, KEY)[0])].all()
    monkeypatch.setattr(batch, "ATTEMPTS", 40)
    with pytest.raises(RuntimeError, match="3 of 3 examples found no train problem in 40 draws"):
        draw(shape, 4, "train", indices[:3], KEY, accept=lambda graphs: np.zeros(len(graphs.role), bool))


@pytest.mark.parametrize("operations", [1, 8, 16])
def test_rejections_are_those_of_the_split(operations: int) -> None:
    for split, share in (("train", 6 / 8), ("test", 1 / 8)):
        _, rejected = draw(Shape(), operations, split, np.arange(1500), KEY)
        assert abs(rejected / 1500 - (1 / share - 1)) < 0.12 / share
