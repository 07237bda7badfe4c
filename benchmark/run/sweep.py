"""A sweep: run the cells of a plan in one folder, skipping what is done, recording what fails."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmark import environment, rows
from benchmark.cells.cell import Cell
from benchmark.cells.facts import cell_facts, failure_row
from benchmark.run import code
from benchmark.run.executors import Event, Executor, Job
from benchmark.run.folder import State, SweepFolder


def run(
    cells: Sequence[Cell],
    folder: SweepFolder,
    executor: Executor,
    *,
    context: rows.Row | None = None,
    command: str = "",
    on_event: Callable[[Event], None] = lambda _: None,
    on_stop: Callable[[], None] = lambda: None,
) -> dict[str, State]:
    """Run every cell that is not finished, in a folder that is held; returns the state of each by id.

    Interrupted (KeyboardInterrupt), it lets the cells that run save, gathers the rows and raises again.

    Args:
        cells: What to run, in this order.
        folder: Where, held by this process (`SweepFolder.session`).
        executor: What trains them.
        context: Columns of every row that are not the cell's, such as suite and scale; the commit is added.
        command: The command that asked for it, for `environment.json`.
        on_event: Is told whatever happens.
        on_stop: Is called when the sweep is interrupted, before the cells that run have saved.
    """
    pending, stale = [], []
    for cell in cells:
        status, change = folder.of(cell).state.status, code.code_change(cell, folder.of(cell).path)
        if not status.final or (change and status.failed):  # what failed may have been mended
            pending.append(cell)
        elif change:
            stale.append((cell, change))
    if stale:
        cell, what = stale[0]
        others = f", as {len(stale) - 1} more are" if stale[1:] else ""
        text = (
            f"finished by other code of {what}{others}: raise its version, or `bench retry --status ok` trains it again"
        )
        on_event(Event(cell=cell, kind="note", contents={"text": text}))
    if pending:  # else others trained what is here
        described = environment.describe() | {"device": executor.device, "command": command}
        rows.write_atomically(folder.path / "environment.json", (json.dumps(described, indent=1) + "\n").encode())
    context = (context or {}) | {"commit": environment.commit()}
    jobs = [
        Job(
            cell=c,
            folder=folder.of(c).path,
            device=executor.device,
            backend=executor.backend,
            checkpointing=executor.checkpointing,
            context=context,
        )
        for c in pending
    ]

    def record(event: Event) -> Event:
        """Write the row that the worker could not write; how the cell ended, if it did before the worker died."""
        facts = cell_facts(event.cell, device=executor.device, context=context)
        contents = event.contents
        row = failure_row(facts, contents["status"], contents["reason"], step=contents.get("step"))
        state = folder.of(event.cell).lost(row)
        return replace(event, contents=state._asdict()) if state.status.final else event

    events, at_once = executor.run(jobs), True
    try:
        for event in events:
            if event.contents.get("unrecorded"):
                event = record(event)
            on_event(event)
    except KeyboardInterrupt:
        on_stop()
        raise
    finally:
        try:
            events.close()
            at_once = False
        finally:
            for event in executor.cut_off:
                record(event)
            for cell in pending:
                folder.of(cell).forget()
            if not at_once:  # else the next run gathers
                folder.gather()
    return {cell.id: folder.of(cell).state for cell in cells}
