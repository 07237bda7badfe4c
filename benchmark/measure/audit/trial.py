"""One trial of an audit: a network, two sequences that differ in evicted windows, and all that could carry it."""

import copy

import torch
from torch import Tensor

from baselines.base import Model, State
from benchmark.measure.audit.causality import backward_road
from benchmark.measure.audit.findings import Audit, Road
from benchmark.measure.audit.gradients import EmbeddingCalls, any_in, embedding_calls, influences, of_windows
from benchmark.measure.audit.holdings import World, changed_names
from benchmark.measure.audit.tracing import BATCH, Call, all_equal, equal, trace

VOCABULARY = 11
ELSEWHERE = "a road outside its modules and its state"


class Trial:
    """One network, one pair of sequences A and B, one N. Every answer is to the same question, logits [B, L, V]."""

    def __init__(self, model: Model, world: World, report: Audit, passes: int, seed: int) -> None:
        self.model, self.world, self.report, self.passes, self.seed = model, world, report, passes, seed
        torch.default_generator.manual_seed(1000 + seed)
        shape = (BATCH, report.windows, report.window)
        self.a, self.question = torch.randint(VOCABULARY, shape), torch.randint(VOCABULARY, (BATCH, report.window))
        self.b = (self.a + torch.randint(1, VOCABULARY, shape)) % VOCABULARY  # differs from A in every token

    def run(self) -> None:
        """Everything, into `report`."""
        self.world.rewind()
        self.calls: list[Call] = []
        with trace(self.model, self.calls):
            self.states = self.sleep_states(self.a, watch=True)
        before = self.world.fingerprints()
        with trace(self.model, self.calls):
            self.answer = self.answer_from(self.states[-1])
        self.report.wake_passes = self.model.wake_passes
        self.report.state_bytes = tuple(self.model.state_bytes(state) for state in self.states)
        if not self.is_finite():
            return
        self.declared_ids = self.declared_tensors(self.states[-1])

        self.world.rewind()
        self.of_b = self.sleep_states(self.b)[-1]
        changes = changed_names(before, self.world.fingerprints())
        leaky_fields = self.undeclared_fields(self.of_b)
        if not equal(self.answer_from(self.state_copy(self.states[-1])), self.answer):
            for path in changes or ([] if leaky_fields else [ELSEWHERE]):
                self.report.leak(path, "evicted tokens change it, and the same state then gives another answer")
        elif changes:
            self.report.note(f"evicted tokens change {', '.join(changes)}; no answer changed with it")
        self.in_turns(before, changes)
        self.across_the_batch()
        self.later_tokens()
        self.gradients()
        self.every_road()

    def is_finite(self) -> bool:
        """Whether all states and the answer are numbers; where not, nothing can be compared, and that is said.

        A logit of minus infinity is an answer as good as any: it rules a token out.
        """
        for number, state in enumerate(self.states[1:], start=1):
            for path, t in state.tensors().items():
                if not bool(t.isfinite().all()):
                    self.report.overflow(f"{path} after window {number} at N = {self.passes}")
                    return False
        if bool((self.answer.isnan() | self.answer.isposinf()).any()):
            self.report.overflow(f"the answer at N = {self.passes}")
            return False
        return True

    # --- running the network ---

    def sleep_states(self, windows: Tensor, watch: bool = False) -> list[State]:
        """The states before the first and after each of the windows [B, W, L]."""
        states = [self.model.start(len(windows))]
        for tokens in windows.unbind(1):
            before = {path: t.clone() for path, t in states[-1].tensors().items()} if watch else {}
            states.append(self.sleep(tokens, states[-1]))
            after = states[-2].tensors()
            for path in before:
                if not equal(before[path], after[path]):
                    self.report.leak(path, "sleep writes into the state that it was given, which another call may hold")
        return states

    def sleep(self, tokens: Tensor, state: State) -> State:
        """The state after one window [B, L]."""
        torch.default_generator.manual_seed(self.seed)  # dropout, if there is any, is the same in every run
        return self.model.sleep(tokens, state, self.passes)

    def with_other(self, number: int) -> State:
        """The state after A with another window `number`, from 1, that of B."""
        state = self.state_copy(self.states[number - 1])
        for tokens in (self.b[:, number - 1], *self.a[:, number:].unbind(1)):
            state = self.sleep(tokens, state)
        return state

    def answer_from(self, state: State, question: Tensor | None = None) -> Tensor:
        """The answer: logits [B, L, V]."""
        torch.default_generator.manual_seed(self.seed)
        return self.model.wake(self.question if question is None else question, state)[0]

    def state_copy(self, state: State, **parts: Tensor) -> State:
        """A copy of the state that shares no object with it, with some tensors, by path, replaced."""
        tensors = state.tensors().items()
        swaps = {id(t): parts[path] if path in parts else t.detach().clone() for path, t in tensors}
        twin: State = copy.deepcopy(state, swaps)
        return twin

    # --- what is declared ---

    def declared_tensors(self, state: State) -> set[int]:
        """Ids of the tensors whose bytes the model counts; bytes that it does not count are noted."""
        fields = self.world.tensors(state)
        paths = {id(t): path for path, t in state.tensors().items()}
        tensors = {id(t): t for group in fields.values() for t in group}
        total = sum(map(size, tensors.values())) / BATCH
        declared_bytes = self.model.state_bytes(state)
        if declared_bytes >= total:
            return set(tensors)
        counted_ids = set()
        for key, t in tensors.items():
            try:
                more = copy.deepcopy(
                    state, {key: torch.cat((t, t), -1)} | {k: v for k, v in tensors.items() if k != key}
                )
                if (self.model.state_bytes(more) - declared_bytes) * BATCH >= size(t) > 0:
                    counted_ids.add(key)
            except (RuntimeError, IndexError):
                pass
        remainder = declared_bytes * BATCH - sum(size(tensors[key]) for key in counted_ids)
        for key, t in tensors.items():  # a fixed number of bytes may stand for any: for those that come first
            if key not in counted_ids and key in paths and size(t) <= remainder:
                counted_ids.add(key)
                remainder -= size(t)
        names = [
            paths.get(key, name) for name, group in fields.items() for key in map(id, group) if key not in counted_ids
        ]
        self.report.note(
            f"the state holds {total:.0f} bytes a sequence and declares {declared_bytes}"
            + (f"; not counted: {', '.join(names)}" if names else "")
        )
        return counted_ids

    def undeclared_fields(self, state: State) -> list[str]:
        """Fields of the state that evicted tokens change without being counted; each is a leak."""
        theirs = self.declared_tensors(state)
        before, after = self.world.fields(self.states[-1], self.declared_ids), self.world.fields(state, theirs)
        paths = {path: t for path, t in state.tensors().items() if id(t) not in theirs}
        changes = [name.partition(" (")[0] for name in changed_names(before, after)]
        names = [path for path in paths if path.partition("[")[0] in changes]
        names += [name for name in changes if name not in {path.partition("[")[0] for path in paths}]
        for name in names:
            self.report.leak(name, "a field of the state that evicted tokens change, and whose bytes are not counted")
        return names

    # --- other roads ---

    def in_turns(self, prints: dict[str, str], changes: list[str]) -> None:
        """Sleep over A and B in turns, one window each: neither may hear of the other."""
        self.world.rewind()
        one, other = self.model.start(BATCH), self.model.start(BATCH)
        same = True
        for number, (a, b) in enumerate(zip(self.a.unbind(1), self.b.unbind(1), strict=True), start=1):
            one, other = self.sleep(a, one), self.sleep(b, other)
            same = same and all_equal([*one.tensors().values()], [*self.states[number].tensors().values()])
        if not (same and equal(self.answer_from(one), self.answer)):
            names = changes or changed_names(prints, self.world.fingerprints())
            for path in names or [ELSEWHERE]:
                self.report.leak(path, "an earlier call for another sequence changes what a later one gives")

    def across_the_batch(self) -> None:
        """Change the first sequence of the batch: the others' features, states and answers may not."""
        windows, question = self.a.clone(), self.question.clone()
        windows[0], question[0] = self.b[0], (question[0] + 1) % VOCABULARY
        self.world.rewind()
        calls: list[Call] = []
        with trace(self.model, calls):
            last = self.sleep_states(windows)[-1]
            answer = self.answer_from(last, question)
        before = {**self.states[-1].tensors(), "the answer": self.answer}
        after = {**last.tensors(), "the answer": answer}
        crossings = [path for path, t in before.items() if not equal(t[1:], after[path][1:])]
        if crossings:
            pairs = zip(self.calls, calls, strict=False)
            mixers = (call[0] for call, now in pairs if all_equal(call[1], now[1]) and not all_equal(call[2], now[2]))
            first = next(mixers, crossings[0])
            self.report.leak(first, f"one sequence reaches another of the batch, in {', '.join(crossings)}")

    def later_tokens(self) -> None:
        """Change one token of the prediction at a time: no answer before it may change."""
        self.world.rewind()

        def wake(question: Tensor) -> Tensor:
            return self.answer_from(self.state_copy(self.states[-1]), question)

        if road := backward_road(self.model, wake, self.question, VOCABULARY, range(1, self.report.window)):
            self.report.leak(*road, later=True)

    def gradients(self) -> None:
        """The second witness: gradients of the answer by embedded evicted tokens, with the state and with it cut."""
        if isinstance(self.report.gradient, str):
            return
        self.world.rewind()
        try:
            with torch.enable_grad(), embedding_calls(self.model) as asleep:
                counts, state = [0], self.model.start(BATCH)
                for tokens in self.a.unbind(1):
                    state = self.sleep(tokens, state)
                    counts.append(len(asleep))
            masks = self.embedded_awake()
            if not asleep and not masks:
                self.report.gradient = "not asked: no nn.Embedding runs in a sleep, nor over evicted tokens awake"
                return
            with torch.enable_grad():
                with embedding_calls(self.model) as awake:
                    answer = self.answer_from(state)
                marks = influences(answer, asleep.leaves + awake.leaves, self.seed)
                past = of_windows(influences(self.answer_from(state.detach()), asleep.leaves, self.seed), counts)
        except (RuntimeError, TypeError) as error:
            self.report.gradient = f"not asked: {str(error).partition(chr(10))[0]}"
            return
        reach = {*of_windows(marks[: len(asleep)], counts)}
        for number, places in masks.items():
            pairs = zip(marks[len(asleep) :], places, strict=True)
            reach |= {number} if any_in([mark & place for mark, place in pairs]) else set()
        self.report.gradient[self.passes] = tuple(sorted({*self.report.gradient.get(self.passes, ()), *reach}))
        if past and not self.report.of_evicted:
            self.report.leak(ELSEWHERE, f"with the state cut, the answer has a gradient by tokens of windows {past}")

    def embedded_awake(self) -> dict[int, list[Tensor]]:
        """The places where evicted tokens are embedded awake, a mask for each call; by window, and only where any is.

        Raises:
            RuntimeError: what is embedded there, and in what order, depends on the tokens.
        """
        mine = self.calls_awake(self.states[-1])
        if not any_in(mine.differences(self.calls_awake(self.of_b))):  # nearly always: then no window is asked for
            return {}
        each = range(1, self.report.windows + 1)
        places = {number: mine.differences(self.calls_awake(self.with_other(number))) for number in each}
        return {number: places for number, places in places.items() if any_in(places)}

    def calls_awake(self, state: State) -> EmbeddingCalls:
        """What embeddings are given in a prediction."""
        with embedding_calls(self.model) as calls:
            self.answer_from(self.state_copy(state))
        return calls

    # --- the declared roads ---

    def every_road(self) -> None:
        """Change one evicted window at a time, and put each tensor of the state that heard of it alone into A's."""
        self.world.rewind()
        last = self.states[-1]
        mine = last.tensors()
        earlier = {road.path: road for road in self.report.roads if road.passes == self.passes}
        hears = {path: set(earlier[path].hears if path in earlier else ()) for path in mine}
        reaches = {path: set(earlier[path].reaches if path in earlier else ()) for path in mine}
        whole = set(self.report.reaches.get(self.passes, ()))
        for number in range(1, self.report.windows + 1):
            if number in whole and all(number in reach for reach in reaches.values()):
                continue  # another seed has shown all there is
            theirs = self.with_other(number)
            if self.differs(theirs):
                whole.add(number)
            for path, t in theirs.tensors().items():
                if path in mine and not equal(t, mine[path]):
                    hears[path].add(number)
                    if number not in reaches[path] and self.differs(self.state_copy(last, **{path: t})):
                        reaches[path].add(number)
        self.report.roads = [road for road in self.report.roads if road.passes != self.passes] + [
            Road(
                path=path,
                passes=self.passes,
                state_bytes=size(t) // BATCH,
                hears=tuple(sorted(hears[path])),
                reaches=tuple(sorted(reaches[path])),
            )
            for path, t in mine.items()
        ]
        self.report.reaches[self.passes] = tuple(sorted(whole))

    def differs(self, state: State) -> bool:
        """Whether a state gives another answer than A's; one that cannot be read does."""
        try:
            return not equal(self.answer_from(state), self.answer)
        except (RuntimeError, IndexError):
            return True


def size(t: Tensor) -> int:
    """Bytes of a tensor."""
    return t.numel() * t.element_size()
