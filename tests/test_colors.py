"""Colors: solved by reading the sentences, by nothing less than binding; and the same text in a decoder's pieces."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretrained import on_transformers

from tasks.base import IGNORE
from tasks.colors import Colors
from tasks.sentences import COLORS, NOUNS

TASKS = [
    Colors(facts=2),
    Colors(facts=6, facts_per_window=3),
    Colors(facts=8),
    Colors(facts=2, nouns=32, colors=12),
]
every_task = pytest.mark.parametrize("task", TASKS, ids=str)
FACT, QUESTION = re.compile(r"The (\w+) is (\w+) \."), re.compile(r"The color of the (\w+) is$")


def told(task: Colors, tokens: list[int]) -> tuple[list[list[tuple[str, str]]], str]:
    """The facts of every window that is read, and the thing asked, from the words alone."""
    words = [task.word(token) for token in tokens]
    *read, asked = (" ".join(words[at : at + task.window]) for at in range(0, len(words), task.window))
    found = QUESTION.fullmatch(asked)
    assert found
    return [FACT.findall(window) for window in read], found[1]


@every_task
def test_solved_by_a_reader(task: Colors) -> None:
    episode = task.episodes("test", range(80))
    for tokens, targets in zip(episode.inputs.tolist(), episode.targets.tolist(), strict=True):
        windows, thing = told(task, tokens)
        facts = [of for window in windows for of in window]
        assert {len(window) for window in windows} == {task.facts_per_window}
        assert len({noun for noun, _ in facts}) == len({color for _, color in facts}) == len(facts) == task.facts
        assert [task.word(target) for target in targets if target != IGNORE] == [dict(facts)[thing]]
        assert targets[-1] != IGNORE
    assert {task.word(color) for color in episode.targets[:, -1]} == set(COLORS[: task.colors])


@every_task
def test_every_place_color_and_thing_is_asked_alike(task: Colors) -> None:
    """So that no constant answer, and no place, is worth more than chance and `seen_colors` say."""
    episode = task.episodes("train", range(6000))
    for name, many in (("fact", task.facts), ("color", task.colors), ("noun", task.nouns)):
        shares = np.bincount(episode.facts[name], minlength=many) / 6000
        assert np.abs(shares - 1 / many).max() < 4.5 * (1 / many / 6000) ** 0.5
    assert task.chance(task.facts) == task.floors(task.facts)["majority"] == 1 / task.colors
    assert task.shortcuts(task.facts) == {"seen_colors": 1 / task.facts}


def test_guessing_among_the_colors_read_is_right_as_often_as_the_shortcut_says() -> None:
    task, draw = Colors(), np.random.default_rng(0)
    episode = task.episodes("test", range(3000))
    right = []
    for tokens, target in zip(episode.inputs.tolist(), episode.targets[:, -1].tolist(), strict=True):
        colors = [color for window in told(task, tokens)[0] for _, color in window]
        right.append(draw.choice(colors) == task.word(target))
    assert np.mean(right) == pytest.approx(task.shortcuts(4)["seen_colors"], abs=0.03)


def test_the_thing_asked_tells_nothing_of_its_color() -> None:
    facts = Colors().episodes("train", range(20_000)).facts
    pairs = Counter(zip(facts["noun"].tolist(), facts["color"].tolist(), strict=True))
    assert len(pairs) == 16 * 8
    assert max(pairs.values()) < 2 * min(pairs.values())


def test_a_set_of_facts_is_in_one_split_in_any_order_and_config() -> None:
    one, other = (Colors(facts=2, nouns=nouns).episodes("train", range(4000)) for nouns in (16, 17))
    sets = [
        {
            frozenset(of for window in told(task, row)[0] for of in window): content
            for row, content in zip(episode.inputs.tolist(), episode.content[:, 0].tolist(), strict=True)
        }
        for task, episode in ((Colors(facts=2), one), (Colors(facts=2, nouns=17), other))
    ]
    shared = sets[0].keys() & sets[1].keys()
    assert len(shared) > 100
    assert all(sets[0][facts] == sets[1][facts] for facts in shared)


def test_memories_are_the_facts() -> None:
    task = Colors()
    episode = task.episodes("test", range(20))
    (memory,) = task.memories(episode)
    for values, tokens in zip(memory.values.tolist(), episode.inputs.tolist(), strict=True):
        facts = [fact for window in told(task, tokens)[0] for fact in window]
        stored = [(NOUNS[noun], COLORS[color]) for noun, color in enumerate(values) if color >= 0]
        assert sorted(facts) == sorted(stored)


def test_records_hold_the_text() -> None:
    (record,) = Colors().records("test", [3])
    assert re.fullmatch(r"( The \w+ is \w+\.){4} The color of the \w+ is", record["prompt"])
    assert re.findall(r"\w+", record["prompt"]) == [w for t in record["tokens"] if (w := Colors().word(t)) != "."]
    assert record["answer"][0] in COLORS


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"facts": 9, "colors": 8}, "facts must be a whole number in 1..8"),
        ({"facts": 3}, "must fill whole windows"),
        ({"facts_per_window": 1}, "the question has 6"),
        ({"facts": 2, "nouns": 2, "colors": 2}, "too few contents"),
        ({"nouns": 33}, "nouns"),
        ({"colors": 1}, "colors"),
        ({"tokenizer": "/no/folder"}, "no tokenizer at"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Colors(**settings)


# In the pieces of a decoder


def tokenizer(folder: Path, words: tuple[str, ...]) -> Path:
    """A folder with a tokenizer that knows these words, each with the space before it, and else letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    pieces.train_from_iterator([f" {word}" for word in words for _ in range(3)], trainer)
    folder.mkdir(exist_ok=True)
    pieces.save(str(folder / "tokenizer.json"))
    return folder


SENTENCES = ("The", "color", "of", "the", "is", *NOUNS, *COLORS)


@on_transformers
def test_pieces_are_the_same_text_and_a_full_stop_is_its_own(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = tokenizer(tmp_path / "here", SENTENCES)
    pieces = Tokenizer.from_file(str(folder / "tokenizer.json"))
    task = Colors(tokenizer=str(folder))
    assert (task.window, task.seq_len, task.vocab_size) == (10, 26, pieces.get_vocab_size())
    episode, prompts = task.episodes("test", range(20)), task.prompt("test", range(20))
    for row, target, prompt in zip(episode.inputs.tolist(), episode.targets[:, -1].tolist(), prompts, strict=True):
        assert pieces.decode(row) == prompt
        assert dict(re.findall(r"The (\w+) is (\w+)\.", prompt))[prompt.split()[-2]] == pieces.decode([target]).strip()
        assert pieces.encode(prompt).ids == row
    (memory,) = task.memories(episode)
    assert (memory.values >= 0).sum() == 20 * 4
    assert json.loads(task.records("test", [0])[0]["metadata"])["settings"]["facts"] == 4


@on_transformers
def test_a_word_of_several_pieces_is_refused_by_name(tmp_path: Path) -> None:
    folder = tokenizer(tmp_path / "here", tuple(word for word in SENTENCES if word != "phone"))
    with pytest.raises(ValueError, match="cuts 'phone' into"):
        Colors(tokenizer=str(folder))
    assert Colors(nouns=10, tokenizer=str(folder)).nouns == 10
