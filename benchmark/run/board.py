"""What a sweep shows while it runs, and what is left on the terminal when it ends."""

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.cost import cost
from benchmark.cells.words import fact, label, varying
from benchmark.rows import Status
from benchmark.rows.text import amount, duration
from benchmark.run.executors import Event

UNDONE = (Status.WAITING, Status.RUNNING, Status.INTERRUPTED, Status.STOPPED)


class Board:
    """The state of every cell, fed by events and drawn as a grid of difficulty against N.

    Used as a context manager: a live table on a terminal, a line per finished cell elsewhere.
    """

    def __init__(self, title: str, cells: Sequence[Cell], *, console: Console) -> None:
        self.title, self.cells, self.console = title, cells, console
        self.others = varying(cells)
        self.state = dict.fromkeys((cell.id for cell in cells), Status.WAITING)
        self.last: dict[tuple[str, int], rows.Row] = {}  # the newest row of all answers, by cell and difficulty
        self.speed: dict[str, float] = {}
        self.step = {cell.id: 0 for cell in cells}
        self.flops = {cell.id: cost(cell).train_flops * cell.steps * cell.training.batch for cell in cells}
        self.stopping = False
        self.begun = time.monotonic()
        self.done_before: float | None = None
        self.live = Live(console=console, refresh_per_second=4, get_renderable=self.render)

    def __enter__(self) -> "Board":
        """Begin to draw."""
        self.done_before = self.done()
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; the last state stays on the terminal."""
        if self.console.is_terminal:
            self.live.stop()

    def known(self, cell: Cell, status: Status, written: Sequence[rows.Row]) -> None:
        """Take over what an earlier sweep left."""
        self.state[cell.id] = status
        self.note(cell, written)
        if status == Status.OK:
            self.step[cell.id] = cell.steps

    def note(self, cell: Cell, written: Sequence[rows.Row]) -> None:
        """Take over new rows of a cell."""
        trained, tests = cell.training.sleep_passes, cell.training.test_passes
        shown = tests[-1] if tests and trained not in tests else trained  # of several N, the trained one
        for row in written:
            if row["status"] == Status.OK and row["answer"] is None and row.get("tested_passes", shown) == shown:
                self.last[cell.id, row["difficulty"]] = row
                self.step[cell.id] = row["step"]

    def on_event(self, event: Event) -> None:
        """Take over what a worker said."""
        cell, said = event.cell, event.contents
        if event.kind == "start":
            self.state[cell.id] = Status.RUNNING
        elif event.kind == "progress":
            self.step[cell.id], self.speed[cell.id] = said["step"], said["tokens_per_s"]
            self.note(cell, said["new_rows"])
        elif event.kind == "end":
            status = self.state[cell.id] = Status(said["status"])
            if status != Status.STOPPED and not self.console.is_terminal:
                shown = "done" if status == Status.OK else status
                text = f"{shown:>8}  {label(cell, self.others)}  {said['reason'] or self.scores(cell)}"
                self.console.print(text, highlight=False)

    def stop(self) -> None:
        """Say that the sweep is ending, at once: the cells that run take a moment to save."""
        self.stopping = True
        if self.console.is_terminal:
            self.live.refresh()
        else:
            self.console.print("stopping: the cells that run save at their next step")

    def done(self) -> float:
        """FLOPs trained so far, over all cells."""
        return sum(self.flops[c.id] * min(1.0, self.step[c.id] / c.steps) for c in self.cells)

    def eta_s(self) -> float | None:
        """Seconds to the end at the pace so far; None while that is unknown."""
        done = self.done()
        gained = done - (self.done_before or 0.0)
        if gained <= 0:
            return None
        return (sum(self.flops.values()) - done) * (time.monotonic() - self.begun) / gained

    def render(self) -> RenderableType:
        """The grid, and a line per running cell."""
        finished = sum(status not in UNDONE for status in self.state.values())
        eta = self.eta_s()
        head = f"{finished} of {len(self.cells)} cells" + (f", about {duration(eta)} left" if eta else "")
        head = f"{head}; stopping: the cells that run save at their next step" if self.stopping else head
        running = [c for c in self.cells if self.state[c.id] == Status.RUNNING]
        return Group(self.grid(head), *map(self.line, running))

    def line(self, cell: Cell) -> Text:
        """A running cell: how far, how fast, how good so far against chance."""
        text = f"  {label(cell, self.others)}: {self.step[cell.id] / cell.steps:4.0%}"
        text += f", {amount(self.speed[cell.id])} tokens/s" if cell.id in self.speed else ", starting"
        if scores := self.scores(cell):
            text += f", {scores}"
        return Text(text)

    def scores(self, cell: Cell) -> str:
        """The newest scores of a cell in words; empty before the first."""
        return score_text([self.last[cell.id, level] for level in cell.levels if (cell.id, level) in self.last])

    def grid(self, caption: str = "") -> Table:
        """Mean exact match over seeds: a line per difficulty (and other setting that varies), a column per N."""
        counts = sorted({c.training.sleep_passes for c in self.cells})
        table = Table(title=self.title, caption=caption, caption_justify="left", title_justify="left")
        axes = {cell.task.axis for cell in self.cells}
        for name in (*self.others, *(axes if len(axes) == 1 else ["difficulty"]), "chance"):
            table.add_column(name.replace("_", " "), justify="right")
        for n in counts:
            table.add_column(f"N = {n}", justify="right")
        lines: dict[tuple[str, ...], list[Cell]] = {}
        for cell in self.cells:
            for level in cell.levels:
                lines.setdefault((*(fact(cell, name) for name in self.others), str(level)), []).append(cell)
        for key, group in lines.items():
            level = int(key[-1])
            entries = [self.entry([c for c in group if c.training.sleep_passes == n], level) for n in counts]
            table.add_row(*key, f"{group[0].task.chance(level):.3f}", *entries)
        return table

    def entry(self, cells: Sequence[Cell], level: int) -> Text:
        """One place of the grid: mean of what is known, and how much of it is final."""
        if not cells:
            return Text()
        scores = [self.last[c.id, level]["exact_match"] for c in cells if (c.id, level) in self.last]
        done = sum(self.state[c.id] == Status.OK for c in cells)
        failed = [self.state[c.id] for c in cells if self.state[c.id] not in (*UNDONE, Status.OK)]
        text = f"{sum(scores) / len(scores):.3f}" if scores else "-"
        if done < len(cells):
            text += f" ({done}/{len(cells)})"
        return Text.assemble(text, (f" {len(failed)} {failed[0]}" if failed else "", "red"))


def score_text(newest: Sequence[rows.Row]) -> str:
    """Exact match in words, from one row per difficulty; empty without rows."""
    if len(newest) < 2:
        return "".join(f"exact match {row['exact_match']:.3f}, chance {row['chance']:.3f}" for row in newest)
    each = ", ".join(f"{row['exact_match']:.3f} at {row['difficulty']}" for row in newest)
    return f"exact match {each} {newest[0]['axis'].replace('_', ' ')}"
