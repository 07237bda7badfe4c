"""Cells on Ray: what travels, what is refused, and real Rays of this machine that lose workers, nodes and drivers."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import bench, comparable, same_bits, small, start

from baselines.addresses import FOLDER, model_at
from benchmark.cells.cell import Cell
from benchmark.rows import Status
from benchmark.run import checkpoint, sweep
from benchmark.run.executors import Event, Executor, Job, attempt, cluster, gpus, parcel
from benchmark.run.executors import ray as executor_ray
from benchmark.run.executors.ray import RETRIES, Ray, _Sweep
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import CellFolder, SweepFolder
from benchmark.run.trainer import Trainer

TOKEN = "5" * 64


def on_ray(test: Callable[..., None]) -> Callable[..., None]:
    """A test that starts a real Ray."""
    skip = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'ray==2.60.*'")
    marked: Callable[..., None] = pytest.mark.ray(skip(test))
    return marked


@pytest.fixture(autouse=True, scope="module")
def settings() -> Iterator[None]:
    """What Ray reads when it is imported, whichever test imports it."""
    before = dict(os.environ)
    os.environ.update(cluster.SETTINGS | cluster.LOOPBACK | {"RAY_AUTH_TOKEN": TOKEN})
    yield
    os.environ.clear()
    os.environ.update(before)


def run(cells: Sequence[Cell], out: Path, trains: Executor, **options: Any) -> dict[str, Any]:
    folder = SweepFolder(out)
    with folder.session(cells):
        return sweep.run(cells, folder, trains, **options)


def assert_same(cells: Sequence[Cell], one: Path, other: Path) -> None:
    """Rows and outcomes are equal to the last bit, wall times aside."""
    for cell in cells:
        a, b = (SweepFolder(out).of(cell) for out in (one, other))
        assert a.state == b.state == ("ok", None)
        assert comparable(a.rows) == comparable(b.rows)
        assert a.rows[-1]["step"] == cell.steps
        assert a.outcomes == b.outcomes


# What travels


def test_a_checkpoint_travels_with_its_rows_and_is_written_after_them(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    trainer, unsent = Trainer(small(), there), attempt._Unsent(there)
    (there / "log.txt").write_text("one\n")
    (there / "lock").touch()
    trainer.run(stop=lambda: trainer.step >= 16)
    files = unsent.take(everything=False)
    assert list(files) == ["outcomes.jsonl", "rows.jsonl", "checkpoint.safetensors", "log.txt"]
    attempt.deliver(files, here)
    (there / "log.txt").write_text("one\ntwo\n")
    assert unsent.take(everything=False) == {"log.txt": b"two\n"}

    unsent.next_save = time.monotonic() + 60  # the last one was large
    trainer.run()
    lines = unsent.take(everything=False)
    assert list(lines) == ["outcomes.jsonl", "rows.jsonl"], "rows are light"
    (there / "finished.json").write_text("{}")
    rest = unsent.take(everything=True)
    assert list(rest) == ["outcomes.jsonl", "rows.jsonl", "checkpoint.safetensors", "finished.json"]
    attempt.deliver(rest, here)
    assert attempt.files_of(here) == attempt.files_of(there)
    assert (here / "log.txt").read_text() == "one\n"


def test_what_a_model_prints_goes_to_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.txt"
    with attempt._printing_to(log):
        os.write(1, b"of this process\n")
        os.system("echo of a program")
    os.write(1, b"later\n")
    assert log.read_text() == "of this process\nof a program\n"
    assert capfd.readouterr().out == "later\n"


def test_the_code_of_cells_fits_into_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's comes with those beside it, and with packages that it uses; data stay."""
    home, code = tmp_path / "home", tmp_path / "code"
    (home / "parts").mkdir(parents=True)
    (home / "parts" / "__init__.py").write_text("SIZE = 8\n")
    (home / "later.py").touch()  # a model may import it when it is built
    (home / "data.bin").touch()
    (home / "parcelled.py").write_text(
        "from baselines.hybrid import Hybrid\nfrom parts import SIZE\n\n"
        "def build(**sizes):\n"
        "    return Hybrid(layout='attn gdn', d_model=SIZE, heads=2, mlp_ratio=1).build(**sizes)\n"
    )
    code.mkdir()
    monkeypatch.setenv(FOLDER, str(home))
    monkeypatch.setattr(sys, "path", sys.path[:])
    cell = replace(small(), model=model_at("parcelled:build")())
    parcel.pack([cell, small()], code)
    assert {path.name for path in code.iterdir()} == {
        "benchmark",
        "tasks",
        "baselines",
        "parts",
        "parcelled.py",
        "later.py",
    }
    assert not list(code.rglob("__pycache__"))
    program = "import parcelled, benchmark.run.worker as w; print(w.__file__, parcelled.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=code, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(code / "benchmark/run/worker.py"), str(code / "parcelled.py")]


def test_an_installed_plug_in_travels_with_its_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pip install` lays it out: a package, and what says that it offers a model."""
    site, code = tmp_path / "site", tmp_path / "code"
    known = site / "of_others-1.0.dist-info"
    (site / "of_others").mkdir(parents=True)
    known.mkdir()
    code.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: of-others\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text("[sleepbench.models]\nother = of_others:Other\n")
    (site / "of_others" / "__init__.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom baselines.hybrid import Hybrid\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Other(Hybrid):\n    name: ClassVar[str] = 'other'\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    import baselines

    cell = replace(small(), model=baselines.load("other")(layout="attn gdn", d_model=8, heads=2, mlp_ratio=1))
    parcel.pack([cell], code)
    program = "import baselines; print(baselines.load('other').__module__, baselines.available()['other'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=code, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["of_others", "of_others:Other"]


@pytest.mark.parametrize(("peak", "part"), [(70, 1.0), (30, 0.5), (20, 0.3333), (8, 0.1428), (2, 0.125)])
def test_cells_share_a_gpu_as_its_memory_allows(peak: int, part: float) -> None:
    assert gpus.share(peak=peak * 2**30, total=80 * 2**30) == part
    assert int(1 / part) * part <= 1


# What is refused


def test_what_cannot_be_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [
        (["--address", "127.0.0.1:6379"], "address is for executor 'ray'; given executor 'local'"),
        (["--executor", "ray", "--gpu-share", "0.5"], "gpu_share is for device 'cuda'; given device 'cpu'"),
        (
            ["--executor", "ray", "--device", "cuda", "--gpu-share", "2"],
            "gpu_share must be above 0 and at most 1; give",
        ),
    ]
    for arguments, message in refused:
        done = bench("run", "quick", "--scale", "tiny", *arguments)
        assert (done.code, done.out) == (2, "")
        assert f"bench: {message}" in done.err
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    done = bench("run", "quick", "--scale", "tiny", "--executor", "ray")
    assert (done.code, done.err) == (2, "bench: executor 'ray' needs Ray: pip install 'ray==2.60.*'\n")


def test_ray_that_was_imported_with_other_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(ValueError, match="Ray was imported here without RAY_AUTH_MODE=token, which it reads when"):
        Ray()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ((1, 1), "does not let this process in; set RAY_AUTH_TOKEN to its token: no reason given"),
        ((0, 0), "asks for no token, so whoever reaches it can run code there; start all of its nodes with RAY_AUTH"),
        ((0, 1), ""),
    ],
)
def test_a_cluster_must_ask_for_a_token_and_take_ours(
    monkeypatch: pytest.MonkeyPatch, codes: tuple[int, int], message: str
) -> None:
    """The first to ask has the token, the second has none."""
    asked = []

    def health(address: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        asked.append(environment.get("RAY_AUTH_TOKEN"))
        program = f"raise SystemExit({codes[len(asked) - 1]})"
        return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)

    class Open:
        def close(self) -> None:
            pass

    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    monkeypatch.setattr(cluster, "_health", health)
    monkeypatch.setattr(cluster.socket, "create_connection", lambda *_, **__: Open())
    if message:
        with pytest.raises(ValueError, match=re.escape(message)):
            Ray(address="10.0.0.1:6379")
    else:
        Ray(address="10.0.0.1:6379")
    assert asked == [TOKEN, None]


@pytest.mark.parametrize("address", ["auto", "ray://10.0.0.1:10001", "10.0.0.1", "10.0.0.1:", ":6379", "a b:1"])
def test_an_address_is_a_host_and_a_port(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    with pytest.raises(ValueError, match=re.escape(f"such as 10.0.0.1:6379; given {address!r}")):
        Ray(address=address)


def test_where_nobody_answers_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    with pytest.raises(ValueError, match=r"nothing answers at 127\.0\.0\.1:1 \(.*refused"):
        Ray(address="127.0.0.1:1")


# The driver, with a Ray that does as it is told


class RayError(Exception):
    """As Ray's own."""


class NodeGoneError(RayError):
    """As Ray's own of the machine on which the driver is."""


class Stand:
    """Stands for the module `ray`: each attempt streams what `script` has for the cell's seed and attempt."""

    def __init__(self, script: dict[int, list[list[Any]]], room: dict[str, float]) -> None:
        self.script, self.room, self.given = script, room, list[tuple[int, dict[str, Any]]]()
        self.cancelled, self.in_parts = list[Any](), list[bool]()
        self.exceptions = types.SimpleNamespace(
            RayError=RayError, RuntimeEnvSetupError=LookupError, LocalRayletDiedError=NodeGoneError
        )
        self.util = types.SimpleNamespace(scheduling_strategies=types.SimpleNamespace())

    def get_runtime_context(self) -> Any:
        return types.SimpleNamespace(get_node_id=lambda: "node")

    def cluster_resources(self) -> dict[str, float]:
        return self.room

    def remote(self, *what: Any, **_: Any) -> Any:
        if what:  # the actor
            nothing = types.SimpleNamespace(remote=lambda: None)
            made = types.SimpleNamespace(remote=lambda: types.SimpleNamespace(stop=nothing))
            return types.SimpleNamespace(options=lambda **_: made)
        return lambda _: types.SimpleNamespace(options=lambda **o: types.SimpleNamespace(remote=self.start(o)))

    def start(self, options: dict[str, Any]) -> Callable[..., Any]:
        def start(job: dict[str, Any], files: dict[str, bytes], control: Any, *, in_parts: bool) -> Any:
            self.in_parts.append(in_parts)
            seed = job["cell"]["seed"]
            self.given.append((seed, options))
            return iter(self.script[seed].pop(0))

        return start

    def wait(self, streams: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return streams, []

    def get(self, value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def cancel(self, stream: Any, *, force: bool) -> None:
        self.cancelled.append(stream)


def message(kind: str, files: dict[str, bytes] | None = None, **contents: Any) -> attempt.Message:
    return attempt.Message(kind, contents, files or {})


OK = message("end", {"finished.json": b"{}"}, status=Status.OK, reason=None)
LOST = RayError("The worker died\nmore")


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stand]:
    def stand(script: dict[int, list[list[Any]]], **room: float) -> Stand:
        made = Stand(script, room or {"CPU": 2.0})
        strategies = types.ModuleType("ray.util.scheduling_strategies")
        strategies.NodeAffinitySchedulingStrategy = lambda *_, **__: None  # type: ignore[attr-defined]
        for name, module in {"ray": made, "ray.util": made.util, strategies.__name__: strategies}.items():
            monkeypatch.setitem(sys.modules, name, module)
        return made

    return stand


def drive(tmp_path: Path, seeds: Sequence[int], **options: Any) -> list[Event]:
    """All events of a sweep on the stand."""
    trains = Ray(**options)
    jobs = [Job(cell=small(seed=s), folder=tmp_path / str(s), device=trains.device, context={}) for s in seeds]
    return list(_Sweep(trains).run(jobs))


def said(events: Sequence[Event]) -> list[tuple[int, str, Any]]:
    return [(e.cell.seed, e.kind, e.contents.get("status") or e.contents.get("text")) for e in events]


@pytest.fixture
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "prepare", lambda _: None)


@pytest.mark.usefixtures("no_check")
def test_a_lost_attempt_is_made_again_while_it_gets_further(tmp_path: Path, stand: Callable[..., Stand]) -> None:
    further = [message("start"), message("progress", {"checkpoint.safetensors": b"new"}, step=1), LOST]
    made = stand({0: [*[further] * (RETRIES + 2), [message("start"), OK]], 1: [[message("start"), LOST]] * 9})
    events = drive(tmp_path, [0, 1])
    assert said(events).count((0, "note", "tried again from its last checkpoint: RayError: The worker died")) == 5
    assert (0, "end", "ok") in said(events)
    last = [event for event in events if event.cell.seed == 1][-1]
    assert last.contents["unrecorded"]
    assert last.contents["reason"] == f"{RETRIES + 1} workers in a row were lost; the last: RayError: The worker died"
    assert [seed for seed, _ in made.given].count(1) == RETRIES + 1
    assert (tmp_path / "0" / "checkpoint.safetensors").read_bytes() == b"new"
    assert (tmp_path / "0" / "finished.json").exists() and not (tmp_path / "1" / "finished.json").exists()


@pytest.mark.usefixtures("no_check")
def test_cells_alike_share_a_gpu_once_one_has_told_its_needs(tmp_path: Path, stand: Callable[..., Stand]) -> None:
    memory = message("memory", peak=2**30, total=8 * 2**30)
    short = [message("start"), message("end", {"rows.jsonl": b"x"}, status=Status.OUT_OF_MEMORY, reason="no room")]
    made = stand({0: [[memory, OK]], 1: [[OK]], 2: [short, short]}, GPU=1.0)
    events = drive(tmp_path, [0, 1, 2], device="cuda")
    assert made.given == [
        (0, {"num_gpus": 1.0}),
        (1, {"num_gpus": 1.0}),
        (2, {"num_gpus": 0.3333}),
        (2, {"num_gpus": 1.0}),
    ]
    assert made.in_parts == [True, True, False, True], "what others hold is no reason to train otherwise"
    assert (2, "note", "tried again from its last checkpoint: out of memory beside others on a GPU") in said(events)
    assert (2, "end", "out_of_memory") in said(events), "with a whole one it is the cell's own"
    with pytest.raises(ValueError, match="no machine with a GPU has joined this machine's Ray"):
        stand({}, CPU=4.0)
        drive(tmp_path, [0], device="cuda")


@pytest.mark.usefixtures("no_check")
def test_a_ray_that_has_died_ends_the_sweep_not_each_cell(tmp_path: Path, stand: Callable[..., Stand]) -> None:
    stand({0: [[message("start"), NodeGoneError("gone")]], 1: [[OK]]})
    with pytest.raises(ValueError, match="Ray on this machine has died; the same command starts it again"):
        drive(tmp_path, [0, 1])


@pytest.mark.usefixtures("no_check")
def test_a_cell_that_another_process_has_is_left_to_it(
    tmp_path: Path, stand: Callable[..., Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_ray, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(executor_ray, "TICK_S", 0.02)
    made = stand({1: [[OK]]})
    (tmp_path / "0").mkdir()
    with attempt.hold(tmp_path / "0") or pytest.fail("nobody else has it"):
        events = drive(tmp_path, [0, 1])
    assert sorted(said(events)) == [(0, "end", "stopped"), (1, "end", "ok")]
    assert "is being trained by another process" in next(e for e in events if e.cell.seed == 0).contents["reason"]
    assert [seed for seed, _ in made.given] == [1]


@pytest.mark.usefixtures("no_check")
def test_a_stop_takes_what_the_cells_still_save(tmp_path: Path, stand: Callable[..., Stand]) -> None:
    saved = message("end", {"checkpoint.safetensors": b"last"}, status=Status.STOPPED, reason=None)
    made = stand({0: [[message("start"), saved]], 1: [[message("start"), message("note", text="so"), LOST]]})
    jobs = [Job(cell=small(seed=seed), folder=tmp_path / str(seed), device="cpu", context={}) for seed in (0, 1)]
    events = _Sweep(Ray()).run(jobs)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert (tmp_path / "0" / "checkpoint.safetensors").read_bytes() == b"last"
    assert not made.cancelled
    for seed in (0, 1):
        lock = attempt.hold(tmp_path / str(seed))
        assert lock, "it is free"
        lock.close()


# Real ones


def attempts() -> list[int]:
    """Processes in which Ray trains cells now."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if b"attempt" in _line(path)[:20]]


def rays() -> list[str]:
    """Every process of a Ray on this machine."""
    lines = [_line(path).replace(b"\0", b" ").decode() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [
        line[:100] for line in lines if line.startswith("ray::") or "/ray/core/" in line or "/ray/_private/" in line
    ]


def _line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def listening() -> set[str]:
    """Addresses that this machine listens on, as the kernel writes them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A"}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same in IPv6, ::1."""


def wait(until: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 300  # of a machine under load
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A folder for a test that leaves nothing running, but agents that tell a dead Ray of its death for a minute."""
    before, logs = set(rays()), f"bench-ray-{os.getpid()}-*"
    yield tmp_path
    wait(lambda: not {line for line in set(rays()) - before if "Agent" not in line})
    assert not list(Path("/tmp").glob(logs))


@on_ray
def test_killed_workers_and_ctrl_c_cost_nothing(alone: Path) -> None:
    """Two cells lose their workers and go on in others; then the sweep is stopped, and both save."""
    cells = [small(seed=seed, tokens=10**6, evaluations=2500) for seed in (0, 1)]
    before, open_to, notes, after = listening(), set[str](), list[str](), set[int]()

    def on_event(event: Event) -> None:
        if event.kind == "progress" and not open_to:
            open_to.update(listening() - before)
            wait(lambda: len(attempts()) == 2)
            for worker in attempts():
                os.kill(worker, signal.SIGKILL)
        notes.extend([event.contents["text"]] if event.kind == "note" else [])
        after.update([event.cell.seed] if event.kind == "progress" and len(notes) == 2 else [])
        if after == {0, 1}:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cells, alone / "ray", Ray(jobs=2), on_event=on_event)
    lost = "tried again from its last checkpoint: WorkerCrashedError: The worker died unexpectedly"
    assert [note.startswith(lost) for note in notes] == [True, True]
    assert open_to <= LOOPBACK
    assert not getattr(signal.getsignal(signal.SIGTERM), "__module__", "").startswith("ray")
    for cell in cells:
        folder, here = SweepFolder(alone / "ray").of(cell), alone / str(cell.seed)
        assert folder.state.status == "interrupted"
        state = checkpoint.load(folder.checkpoint, torch.device("cpu"))
        here.mkdir()
        trainer = Trainer(cell, here, context={"commit": None})
        trainer.run(stop=lambda: trainer.step >= state["step"])  # noqa: B023
        assert comparable(folder.rows) == comparable(CellFolder(here).rows)
        assert folder.outcomes == CellFolder(here).outcomes
        uninterrupted = checkpoint.load(here / "checkpoint.safetensors", torch.device("cpu"))
        same_bits(state | {"wall_s": 0, "energy_j": 0}, uninterrupted | {"wall_s": 0, "energy_j": 0})


@pytest.mark.long
@on_ray
def test_a_killed_driver_costs_nothing(alone: Path) -> None:
    """The command is killed while it trains, its worker stopped: none is left; the sweep ends elsewhere, the same."""
    command = ["run", "quick", "--scale", "tiny", "--seeds", "0", "--sleep-passes", "1", "--rollout-steps", "0"]
    command += ["--executor", "ray", "--set", "evaluations=40", "--out", "out"]
    process = start(*command, cwd=alone)
    try:
        wait(lambda: list(alone.glob("out/cells/*/checkpoint.safetensors")) or process.poll() is not None)
        assert process.poll() is None
        for pid in attempts():
            os.kill(pid, signal.SIGSTOP)
    finally:
        process.kill()
        told = process.communicate()
    assert not told[1]
    wait(lambda: not attempts())
    for left in Path("/tmp").glob(
        f"bench-ray-{process.pid}-*"
    ):  # what Ray logged; with its driver dead nobody removes it
        shutil.rmtree(left)
    cells = SweepFolder(alone / "out").cells()
    assert [SweepFolder(alone / "out").of(cell).state.status for cell in cells] == ["interrupted"]
    for out in ("out", "here"):
        run(cells, alone / out, Serial(), context={"suite": "quick", "scale": "tiny", "audit": None})
    assert_same(cells, alone / "out", alone / "here")


class Pretended(Ray):
    """Asks for GPUs that are there in name only, and trains on CPUs."""

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        yield from super().run([replace(job, device="cpu") for job in jobs])


@pytest.fixture
def nodes(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of this machine, of one node so far, to which others can be added; all of them end with the test."""
    from ray.cluster_utils import Cluster

    logs = tempfile.mkdtemp(prefix="ray-test-", dir="/tmp")  # paths of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", logs)
    for name, value in {"period_ms": 300, "timeout_ms": 1000, "failure_threshold": 2}.items():
        monkeypatch.setenv(f"RAY_health_check_{name}", str(value))  # how soon a machine counts as gone
    terminate = signal.getsignal(signal.SIGTERM)
    made = Cluster()
    made.add_node(num_cpus=2, num_gpus=1, include_dashboard=False)
    yield made
    made.shutdown()
    signal.signal(signal.SIGTERM, terminate)  # the cluster has put its own in the place
    shutil.rmtree(logs)


@pytest.mark.long
@on_ray
def test_machines_of_a_cluster_come_and_go(alone: Path, nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of the user's, two cells on a GPU; one machine joins while they train, and leaves without a word."""
    home = alone / "home"
    home.mkdir()
    (home / "mine.py").write_text(
        "from baselines.hybrid import Hybrid\n\n"
        "def build(**sizes):\n"
        "    print('built')\n"
        "    return Hybrid(layout='attn gdn', d_model=8, heads=2, mlp_ratio=1).build(**sizes)\n"
    )
    monkeypatch.setenv(FOLDER, str(home))
    monkeypatch.setattr(sys, "path", sys.path[:])
    model = model_at("mine:build")()
    cells = [replace(small(seed=seed, tokens=10_000, evaluations=20), model=model) for seed in range(5)]
    elsewhere = os.environ["RAY_TMPDIR"] + "/2"  # as if it were a machine of its own
    second, running, most, notes = list[Any](), set[int](), 0, list[str]()

    def on_event(event: Event) -> None:
        nonlocal most
        if event.kind == "start":
            running.add(event.cell.seed)
            most = max(most, len(running))
        elif event.kind == "end":
            running.remove(event.cell.seed)
        elif event.kind == "note":
            notes.append(event.contents["text"])
        elif not second:
            second.append(nodes.add_node(num_cpus=2, num_gpus=1, temp_dir=elsewhere))
        elif most > 2 and second[0] in nodes.worker_nodes:
            nodes.remove_node(second[0], allow_graceful=False)

    run(cells, alone / "ray", Pretended("cuda", address=nodes.address, gpu_share=0.5), on_event=on_event)
    run(cells, alone / "here", Serial())
    assert_same(cells, alone / "ray", alone / "here")
    assert (alone / "ray" / "cells" / cells[0].id / "log.txt").read_text().startswith("built\n")
    assert notes, "a cell lost its machine"
    assert most in (3, 4)
