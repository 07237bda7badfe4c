"""What a sweep shows while it runs, and what is left on the terminal when it ends."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark import rows
from benchmark.cells.cell import Cell
from benchmark.cells.words import distinctions, fact, label
from benchmark.rows import Status
from benchmark.rows.text import amount, duration
from benchmark.run.executors import Event
from benchmark.run.work import Work

OPEN_STATUSES = (Status.WAITING, Status.RUNNING, Status.INTERRUPTED, Status.STOPPED)

STOP_NOTE = "stopping: the cells that run save at their next step; once more ends them at once"

MIN_LINES, FRAME_LINES = 5, 10
"""Lines of the grid that a live table has at least; lines around them."""


class Board:
    """The state of every cell, fed by events and drawn as a grid of difficulty against N.

    Used as a context manager: a live table on a terminal, a line per finished cell elsewhere. Drawing looks at what has
    changed, so that thousands of cells take no time from those that train.
    """

    def __init__(self, title: str, cells: Sequence[Cell], *, console: Console) -> None:
        self.title, self.cells, self.console = title, cells, console
        self.others = distinctions(cells)
        self.work = Work(cells)
        self.state = dict.fromkeys((cell.id for cell in cells), Status.WAITING)
        self.finished = 0
        self.running: dict[str, Cell] = {}
        self.last: dict[tuple[str, int], rows.Row] = {}  # the newest row of all answers, by cell and difficulty
        self.speed: dict[str, float] = {}
        self.stopping = False
        self.counts = sorted({c.training.sleep_passes for c in cells})
        self.lines: dict[tuple[str, ...], dict[int, list[Cell]]] = {}  # by what a line is of, by N
        for cell in cells:
            facts = [fact(cell, name) for name in self.others]
            for level in cell.levels:
                at = self.lines.setdefault((*facts, str(level)), {})
                at.setdefault(cell.training.sleep_passes, []).append(cell)
        self.lines_of: dict[str, list[tuple[str, ...]]] = {}
        for key, at in self.lines.items():
            for cell in (cell for each in at.values() for cell in each):
                self.lines_of.setdefault(cell.id, []).append(key)
        self.lines_now: dict[tuple[str, ...], list[Text | str]] = {}  # lines in which nothing has changed since
        self.live = Live(console=console, refresh_per_second=4, get_renderable=self.render)

    def __enter__(self) -> "Board":
        """Begin to draw."""
        self.work.begin()
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; the last state stays on the terminal."""
        if self.console.is_terminal:
            self.live.stop()

    def take_over(self, cell: Cell, status: Status, old_rows: Sequence[rows.Row]) -> None:
        """Take over what an earlier sweep left."""
        self.set(cell, status)
        self.note(cell, old_rows)
        if status == Status.OK:
            self.work.advance(cell, cell.steps)

    def set(self, cell: Cell, status: Status) -> None:
        """Take over how a cell stands."""
        self.finished += (status not in OPEN_STATUSES) - (self.state[cell.id] not in OPEN_STATUSES)
        self.state[cell.id] = status
        self.running.pop(cell.id, None)
        if status == Status.RUNNING:
            self.running[cell.id] = cell
        self.redraw(cell)

    def redraw(self, cell: Cell) -> None:
        """Have the lines of a cell drawn anew."""
        for key in self.lines_of[cell.id]:
            self.lines_now.pop(key, None)

    def note(self, cell: Cell, new_rows: Sequence[rows.Row]) -> None:
        """Take over new rows of a cell."""
        own_passes, tests = cell.training.sleep_passes, cell.training.test_passes
        passes = tests[-1] if tests and own_passes not in tests else own_passes  # of several N, the trained one
        for row in new_rows:
            if row["status"] == Status.OK and row["answer"] is None and row.get("tested_passes", passes) == passes:
                self.last[cell.id, row["difficulty"]] = row
                self.work.advance(cell, row["step"])
                if row["step"] and row.get("train_flops"):
                    self.work.learn(cell, row["train_flops"] / row["step"] * cell.steps)
        if new_rows:
            self.redraw(cell)

    def on_event(self, event: Event) -> None:
        """Take over what a worker said."""
        cell, news = event.cell, event.contents
        if event.kind == "start":
            self.set(cell, Status.RUNNING)
        elif event.kind == "counted":
            self.work.learn(cell, news["train_flops"])
        elif event.kind == "progress":
            self.work.advance(cell, news["step"])
            self.speed[cell.id] = news["tokens_per_s"]
            self.note(cell, news["new_rows"])
        elif event.kind == "note":
            self.console.print(f"    note  {label(cell, self.others)}  {news['text']}", highlight=False)
        elif event.kind == "end":
            status = Status(news["status"])
            self.set(cell, status)
            if status != Status.STOPPED and not self.console.is_terminal:
                word = "done" if status == Status.OK else status
                text = f"{word:>8}  {label(cell, self.others)}  {news['reason'] or self.scores(cell)}"
                self.console.print(text, highlight=False)

    def stop(self) -> None:
        """Say that the sweep is ending, at once: the cells that run take a moment to save."""
        self.stopping = True
        if self.console.is_terminal:
            self.live.refresh()
        else:
            self.console.print(STOP_NOTE)

    def render(self) -> RenderableType:
        """The grid, as much as the terminal holds, and a line per running cell."""
        eta = self.work.eta_s()
        head = f"{self.finished} of {len(self.cells)} cells" + (f", about {duration(eta)} left" if eta else "")
        head = f"{head}; {STOP_NOTE}" if self.stopping else head
        running = list(self.running.values())
        most = max(MIN_LINES, self.console.height - len(running) - FRAME_LINES)
        return Group(self.grid(head, most), *map(self.line, running[: self.console.height]))

    def line(self, cell: Cell) -> Text:
        """A running cell: how far, how fast, how good so far against chance."""
        text = f"  {label(cell, self.others)}: {self.work.share[cell.id]:4.0%}"
        text += f", {amount(self.speed[cell.id])} tokens/s" if cell.id in self.speed else ", starting"
        if scores := self.scores(cell):
            text += f", {scores}"
        return Text(text)

    def scores(self, cell: Cell) -> str:
        """The newest scores of a cell in words; empty before the first."""
        return score_text([self.last[cell.id, level] for level in cell.levels if (cell.id, level) in self.last])

    def grid(self, caption: str = "", most: int | None = None) -> Table:
        """Mean exact match over seeds: a line per difficulty (and other setting that varies), a column per N.

        Of more lines than `most`, those with a running cell come first.
        """
        keys = list(self.lines)
        if most is not None and len(keys) > most:
            busy = dict.fromkeys(key for id_ in self.running for key in self.lines_of[id_])
            keys = [*busy, *(key for key in keys[: most + len(busy)] if key not in busy)][:most]
            caption = f"{len(self.lines) - most} more lines\n{caption}"
        table = Table(title=self.title, caption=caption, caption_justify="left", title_justify="left")
        axes = {cell.task.axis for cell in self.cells}
        for name in (*self.others, *(axes if len(axes) == 1 else ["difficulty"]), "chance"):
            table.add_column(name.replace("_", " "), justify="right")
        for n in self.counts:
            table.add_column(f"N = {n}", justify="right")
        for key in keys:
            if key not in self.lines_now:
                self.lines_now[key] = self.entries(key)
            table.add_row(*self.lines_now[key])
        return table

    def entries(self, key: tuple[str, ...]) -> list[Text | str]:
        """A line of the grid."""
        level, at = int(key[-1]), self.lines[key]
        chance = next(iter(at.values()))[0].task.chance(level)
        return [*key, f"{chance:.3f}", *(self.entry(at.get(n, ()), level) for n in self.counts)]

    def entry(self, cells: Sequence[Cell], level: int) -> Text:
        """One place of the grid: mean of what is known, and how much of it is final."""
        if not cells:
            return Text()
        scores = [self.last[c.id, level]["exact_match"] for c in cells if (c.id, level) in self.last]
        successes = sum(self.state[c.id] == Status.OK for c in cells)
        failed = Counter(self.state[c.id] for c in cells if self.state[c.id].failed)
        text = f"{sum(scores) / len(scores):.3f}" if scores else "-"
        if successes < len(cells):
            text += f" ({successes}/{len(cells)})"
        return Text.assemble(text, ("".join(f" {count} {status}" for status, count in failed.items()), "red"))


def score_text(newest: Sequence[rows.Row]) -> str:
    """Exact match in words, from one row per difficulty; empty without rows."""
    if len(newest) < 2:
        return "".join(f"exact match {row['exact_match']:.3f}, chance {row['chance']:.3f}" for row in newest)
    each = ", ".join(f"{row['exact_match']:.3f} at {row['difficulty']}" for row in newest)
    return f"exact match {each} {newest[0]['axis'].replace('_', ' ')}"
