"""Runs cells on Ray: on this machine alone, or on a cluster whose machines come and go.

This process, the driver, owns every file: an `attempt` at a cell is a Ray task that streams back what it says and what
it wrote, so that no file system need be shared. A cell whose worker was lost goes to another one, from its last
checkpoint. Ray itself never tries again: it would replay the stream by index, and a resumed attempt says less than the
first did.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from benchmark.environment import cores
from benchmark.rows import Status
from benchmark.rows.text import error_line
from benchmark.run.executors import attempt as node
from benchmark.run.executors import cluster, gpus, parcel
from benchmark.run.executors.base import Event, Executor, Job
from benchmark.run.executors.patience import LEAST_S, Patience

RETRIES = 3
"""Attempts in a row at a cell that may be lost without a new checkpoint; the next is the last."""

OVERBOOKING = 1.25
"""What Ray is given, against what fits: a worker that is done finds the next cell there."""

TICK_S, COUNT_S, LOCK_WAIT_S = 0.5, 2.0, 30.0
"""How often to look around and to count the machines; how long to wait for a cell that another process has."""

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


class Ray(Executor):
    """A CPU for each cell, or a part of a GPU."""

    least_patience_s = LEAST_S
    """As that of `Local`."""

    def __init__(
        self,
        device: str = "cpu",
        jobs: int | None = None,
        backend: str = "torch",
        *,
        address: str | None = None,
        gpu_share: float | None = None,
    ) -> None:
        """See `Executor`; by default as many cells at once as the cluster has room for.

        Args:
            device: See `Executor`.
            jobs: See `Executor`.
            backend: See `Executor`.
            address: HOST:PORT of a cluster of which this machine is a node; None starts Ray on this machine alone.
            gpu_share: The part of a GPU for each cell; None gives the first of those that are alike a whole one, and
                the others what it turned out to need.

        Raises:
            ValueError: as `Executor` and `cluster.prepare`; or a share that is none.
        """
        super().__init__(device, jobs, backend)
        if gpu_share is not None and device != "cuda":
            raise ValueError(f"gpu_share is for device 'cuda'; given device {device!r}")
        if gpu_share is not None and not 0 < gpu_share <= 1:
            raise ValueError(f"gpu_share must be above 0 and at most 1; given {gpu_share}")
        self.address, self.jobs, self.gpu_share = address, jobs, gpu_share
        cluster.prepare(address)

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`.

        Raises:
            ValueError: as `cluster.connection`; the cluster has no GPU, or cannot set up its workers.
        """
        if not jobs:
            return
        environment = THREADS if self.device == "cpu" else {}
        with TemporaryDirectory() as code:
            parcel.pack([job.cell for job in jobs], Path(code))
            with cluster.connection(
                self.address, cpus=max(self.jobs or 0, cores()), code=code, environment=environment
            ):
                yield from _Sweep(self).run(jobs)


@dataclass(kw_only=True)
class _Running:
    """A cell that Ray has."""

    job: Job
    lock: TextIO
    share: float
    """The part of a CPU or GPU that it takes."""
    shares: bool
    """Whether that was a guess, so that what it lacks may be what others hold."""
    has_checkpoint: bool = False
    """Whether a checkpoint has come of this attempt."""
    patience: Patience | None = None
    """Its clock, once it has started."""


class _Sweep:
    """The cells of one call of `Ray.run`."""

    def __init__(self, executor: Ray) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self.executor = ray, executor
        self.kind = "GPU" if executor.device == "cuda" else "CPU"
        self.waiting, self.running = deque[Job](), dict[Any, _Running]()  # the latter by their streams
        self.blocked = dict[str, float]()  # since when another process has had them, by id
        self.losses = Counter[str]()  # attempts in a row without a new checkpoint, by id
        self.shares = dict[str, float]()  # parts of a GPU, by `gpus.memory_class`
        self.room, self.count_time = 0.0, -math.inf
        if self.kind == "GPU" and not self._room():
            place = f"the cluster at {executor.address}" if executor.address else "this machine's Ray"
            raise ValueError(f"device 'cuda' was asked for, but no machine with a GPU has joined {place}")
        beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(node.Control)
        self.control = actor.options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=beside).remote()
        self.task = ray.remote(num_cpus=1, num_returns="streaming", max_retries=0, scheduling_strategy="SPREAD")(
            node.attempt
        )

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Run them to their ends; closed, let those that run save."""
        self.waiting.extend(jobs)
        try:
            while self.waiting or self.running:
                yield from self._give()
                for stream in self._readable():
                    yield from self._hear(stream)
                for stream, running in list(self.running.items()):
                    if running.patience and (late := running.patience.overdue):
                        yield self._cut_off(stream, late, Status.TIMED_OUT)
        finally:
            self._stop()

    def _give(self) -> Iterator[Event]:
        """Give Ray the cells that there is room for."""
        for _ in range(len(self.waiting)):
            shares = sum(each.share for each in self.running.values())
            if len(self.running) >= (self.executor.jobs or math.inf) or shares >= max(1.0, OVERBOOKING * self._room()):
                return
            job = self.waiting.popleft()
            job.folder.mkdir(exist_ok=True)
            if lock := node.hold(job.folder):
                self._submit(job, lock)
            elif time.monotonic() - self.blocked.setdefault(job.cell.id, time.monotonic()) < LOCK_WAIT_S:
                self.waiting.append(job)  # a worker of a sweep that died writes its last checkpoint
            else:
                reason = f"{job.folder} is being trained by another process"
                yield Event(cell=job.cell, kind="end", contents={"status": Status.STOPPED, "reason": reason})

    def _submit(self, job: Job, lock: TextIO) -> None:
        share, options = 1.0, {}
        if self.kind == "GPU":
            share = self.executor.gpu_share or self.shares.get(gpus.memory_class(job), 1.0)
            options = {"num_gpus": share}
        shares = share < 1 and self.executor.gpu_share is None
        task = self.task.options(**options)
        stream = task.remote(job.as_json(), node.files_of(job.folder), self.control, in_parts=not shares)
        self.running[stream] = _Running(job=job, lock=lock, share=share, shares=shares)

    def _room(self) -> float:
        """CPUs or GPUs of the machines that are there now."""
        if time.monotonic() - self.count_time > COUNT_S:
            self.room, self.count_time = self.ray.cluster_resources().get(self.kind, 0.0), time.monotonic()
        return self.room

    def _readable(self) -> list[Any]:
        """The streams that have something to read, after a while at most."""
        if not self.running:
            time.sleep(TICK_S)
            return []
        streams = list(self.running)
        if not self.ray.wait(streams, num_returns=1, timeout=TICK_S)[0]:
            return []
        ready: list[Any] = self.ray.wait(streams, num_returns=len(streams), timeout=0)[0]
        return ready

    def _hear(self, stream: Any) -> Iterator[Event]:
        """Write down what an attempt sent, and tell of it."""
        running = self.running[stream]
        job, errors = running.job, self.ray.exceptions
        try:
            message = self._read(stream)
        except errors.RuntimeEnvSetupError as error:
            raise ValueError(f"Ray cannot set up its workers: {error}") from error
        except errors.LocalRayletDiedError as error:  # no cell could run any more
            again = "; the same command starts it again" if self.executor.address is None else ""
            raise ValueError(f"Ray on this machine has died{again}") from error
        except (StopIteration, errors.RayError) as error:
            self._drop(stream)
            yield self._again(running, _reason(error))
            return
        status = message.contents.get("status")
        if status == Status.OUT_OF_MEMORY and running.shares:
            self._drop(stream)  # unwritten: it had a part of the memory
            self.shares[gpus.memory_class(job)] = 1.0
            yield self._again(running, "out of memory beside others on a GPU")
            return
        self._write(running, message)
        if message.kind == "memory":
            self.shares.setdefault(gpus.memory_class(job), gpus.share(**message.contents))
        elif status == Status.STOPPED:  # which nobody asked for
            self._drop(stream)
            yield self._again(running, "its worker lost the driver")
        else:
            if message.kind == "end":
                self._drop(stream)
            yield Event(cell=job.cell, kind=message.kind, contents=message.contents)

    def _read(self, stream: Any) -> node.Message:
        """The next message.

        Raises:
            StopIteration: there is none.
            RayError: the worker is lost, or could not run at all.
        """
        message: node.Message = self.ray.get(next(stream))
        return message

    def _write(self, running: _Running, message: node.Message) -> None:
        node.deliver(message.files, running.job.folder)
        running.has_checkpoint |= any(map(node.is_checkpoint, message.files))
        if running.patience is None:
            least_s, timeout = self.executor.least_patience_s, self.executor.cell_timeout
            running.patience = Patience(cell_timeout=timeout, least_s=least_s)
        running.patience.hear({"event": message.kind, **message.contents})

    def _drop(self, stream: Any) -> None:
        self.running.pop(stream).lock.close()

    def _again(self, attempt: _Running, reason: str) -> Event:
        """Let a cell whose worker was lost go on elsewhere, unless that has come to nothing too often."""
        cell = attempt.job.cell
        self.losses[cell.id] = 1 if attempt.has_checkpoint else self.losses[cell.id] + 1
        if self.losses[cell.id] > RETRIES:
            return Event.lost(cell, f"{self.losses[cell.id]} workers in a row were lost; the last: {reason}")
        self.waiting.appendleft(attempt.job)
        return Event(cell=cell, kind="note", contents={"text": f"tried again from its last checkpoint: {reason}"})

    def _cut_off(self, stream: Any, why: str, status: Status) -> Event:
        """End a cell by force."""
        running = self.running[stream]
        self.ray.cancel(stream, force=True)
        self._drop(stream)
        step = running.patience.step if running.patience else None
        return Event.lost(running.job.cell, f"{why}; see {running.job.folder / node.LOG}", status=status, step=step)

    def _stop(self) -> None:
        """Let the cells that run save, each for as long as it may take; end what is left."""
        self.executor.cut_off, start, most = [], time.monotonic(), self.executor.stop_wait_s
        if self.running:
            self.control.stop.remote()
        try:
            while self._is_saving(time.monotonic() - start, most):
                for stream in self._readable():
                    try:
                        message = self._read(stream)
                    except (StopIteration, self.ray.exceptions.RayError):
                        self._drop(stream)
                    else:
                        self._write(self.running[stream], message)
                        if message.kind == "end":
                            self._drop(stream)
        finally:
            for stream, running in list(self.running.items()):
                event = self._cut_off(stream, "the sweep was stopped, and it did not save in time", Status.CANCELLED)
                self.executor.cut_off += [event] if running.patience else []

    def _is_saving(self, waited_s: float, most_s: float) -> bool:
        """Whether a cell still runs that may take longer than that to save."""
        clocks = [running.patience for running in self.running.values() if running.patience]
        return any(waited_s < patience.stop_s(most_s) for patience in clocks)


def _reason(error: Exception) -> str:
    """Why an attempt was lost, in a line: what raised in it, or what Ray saw of its end."""
    return error_line(getattr(error, "cause", None) or error).splitlines()[0].partition(". ")[0]
