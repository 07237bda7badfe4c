"""Kinds of damage on kinds of file: each is seen and named, nothing is deleted, and the next run makes it whole."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from harness import bench, comparable, small
from planted import flat, planted

from benchmark import rows
from benchmark.rows import schema
from benchmark.run import cell_folder, checkpoint, sweep
from benchmark.run.executors.serial import Serial
from benchmark.run.folder import CellFolder, SweepFolder
from benchmark.run.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"tokens": 160, "evaluations": 2, "test_examples": 8}  # 4 steps, tested after 2 and 4
FINISHED, INTERRUPTED = small(**TINY), small(seed=1, **TINY)
CELLS = {"finished": FINISHED, "interrupted": INTERRUPTED}
CONTEXT = {"suite": "here", "scale": "small"}

Damage = Callable[[bytes, bytes], bytes]
"""What becomes of a file, and of the same file of another cell."""


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Damage:
    return lambda data, _: b"".join(change(data.splitlines(keepends=True)))


def unstamped(**values: Any) -> Damage:
    """A value that no cell writes, in rows as code without checks wrote them."""

    def change(data: bytes, _: bytes) -> bytes:
        told = [json.loads(line) | {"schema_version": 5} for line in data.splitlines()]
        told = [{name: row[name] for name in row if name != rows.stamps.NAME} for row in told]
        told[1] = {name: value for name, value in (told[1] | values).items() if value != "gone"}
        return "".join(json.dumps(row) + "\n" for row in told).encode()

    return change


ANY: dict[str, Damage] = {
    "emptied": lambda data, _: b"",
    "filled with NUL": lambda data, _: bytes(len(data)),
    "cut in the middle": lambda data, _: data[: len(data) // 2],
    "a bit flipped": lambda data, _: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "of another cell": lambda _, other: other,
}
LINES = ANY | {
    "the last line lost": lines(lambda found: found[:-1]),
    "the first line lost": lines(lambda found: found[1:]),
    "a line in the middle lost": lines(lambda found: found[:1] + found[2:]),
    "a line doubled": lines(lambda found: found[:1] + found),
    "the last line doubled": lines(lambda found: [*found, found[-1]]),
    "two lines swapped": lines(lambda found: [found[1], found[0], *found[2:]]),
    "NUL in the middle": lambda data, _: data[:50] + bytes(20) + data[70:],
    "a digit changed": lambda data, _: re.sub(rb'("step": |"examples": )(\d)', rb"\g<1>7", data, count=1),
    "a line of another cell": lambda data, other: data + other.splitlines(keepends=True)[-1],
    "no object": lambda data, _: b"[]\n" + data,
    "an empty object": lambda data, _: b"{}\n" + data,
}
ROWS: dict[str, Damage] = LINES | {
    "a wrong type": unstamped(exact_match="high"),
    "a fraction for a number": unstamped(seed=0.5),
    "a number that no table holds": unstamped(seed=99999999999999999999),
    "half a character": unstamped(reason="\ud800"),
    "a mapping": unstamped(muon_lr={}),
    "another setting": unstamped(muon_lr=7.5),
    "no answer": unstamped(answer="gone"),
    "a score that is null": unstamped(exact_match=None),
    "an unknown status": unstamped(status="sleeping"),
    "a newer schema without a check": unstamped(schema_version=99),
}
OBJECT: dict[str, Damage] = ANY | {
    "an empty object": lambda data, _: b"{}",
    "no object": lambda data, _: b"[]",
    "wrong types": lambda data, _: b'{"status": 3, "reason": ["x"], "rows": "many"}',
    "no end": lambda data, _: b'{"status": "running", "reason": null}',
    "deep": lambda data, _: b"[" * 100_000,
}
QUICKLY = {"rows.jsonl": {"emptied", "of another cell", "the last line lost"}, "finished.json": ANY.keys()}
"""What `bench status` sees, which reads the last lines of rows and how a cell ended."""
KINDS = {"rows.jsonl": ROWS, "outcomes.jsonl": LINES, "finished.json": OBJECT, "checkpoint.safetensors": ANY}
DAMAGE = [
    (state, name, kind)
    for name, kinds in KINDS.items()
    for state in CELLS
    for kind in kinds
    if (state, name) not in {("interrupted", "finished.json"), ("finished", "checkpoint.safetensors")}
    and (name, kind) != ("finished.json", "of another cell")  # it says how many lines the other has: seen in rows.jsonl
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a finished and an interrupted cell, and beside it the same cells finished under other seeds."""
    root = tmp_path_factory.mktemp("trained")
    place = SweepFolder(root / "out")
    with place.session([FINISHED, INTERRUPTED], CONTEXT):
        folder = place.of(INTERRUPTED)
        trainer = Trainer(INTERRUPTED, folder.path, context=CONTEXT)
        trainer.run(stop=lambda: trainer.step >= 3)
    place = SweepFolder(root / "out")
    with place.session([FINISHED], CONTEXT):
        sweep.run([FINISHED], place, Serial(), context=CONTEXT)
    others = SweepFolder(root / "others")
    with others.session([small(seed=2, **TINY)], CONTEXT):
        sweep.run([small(seed=2, **TINY)], others, Serial(), context=CONTEXT)
    return root


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained / "out", tmp_path / "out"))


def other(trained: Path, name: str) -> bytes:
    return (trained / "others" / "cells" / small(seed=2, **TINY).id / name).read_bytes()


def run(out: Path) -> SweepFolder:
    place = SweepFolder(out)
    with place.session([FINISHED, INTERRUPTED], CONTEXT):
        states = sweep.run([FINISHED, INTERRUPTED], place, Serial(), context=CONTEXT)
    assert set(states.values()) == {("ok", None)}
    return place


@pytest.fixture(scope="module")
def whole(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The rows that the folder comes to."""
    out = Path(shutil.copytree(trained / "out", tmp_path_factory.mktemp("whole") / "out"))
    return rows.read_table(run(out).path).drop(rows.WALL_COLUMNS, rows.IDENTITY)


@pytest.mark.parametrize(("state", "name", "kind"), DAMAGE, ids=lambda value: value.replace(" ", "-"))
def test_damage_is_named_and_set_aside(trained: Path, out: Path, state: str, name: str, kind: str) -> None:
    folder = SweepFolder(out).of(CELLS[state])
    path = folder.path / name
    before = path.read_bytes()
    damaged = KINDS[name][kind](before, other(trained, name))
    assert damaged != before
    path.write_bytes(damaged)
    looked = bench("status", out)
    assert looked.code == 0 and "Traceback" not in looked.err
    if state == "finished" and kind in QUICKLY.get(name, ()):
        assert f"left out: {path}" in looked.out, "it is seen by who only looks"
    with pytest.raises(rows.DamagedFileError) as error:
        SweepFolder(out).session([]).__enter__()
    assert str(path) in str(error.value), "which file"
    assert f"set aside as {path}.damaged-1" in str(error.value)
    assert path.with_name(f"{name}.damaged-1").read_bytes() == damaged
    if ", line " not in str(error.value):
        assert re.search(r"lines|check|digest|JSON|belongs to|does not say", str(error.value)), "what"
    assert SweepFolder(out).of(CELLS[state]).state.status in ("waiting", "interrupted")
    untouched = SweepFolder(out).of(INTERRUPTED if state == "finished" else FINISHED).path
    assert not list(untouched.glob("*.damaged-*")), "the other cell is left alone"


@pytest.mark.parametrize(
    ("state", "name"),
    [("finished", "rows.jsonl"), ("finished", "outcomes.jsonl"), ("interrupted", "rows.jsonl")],
)
def test_a_file_that_is_gone_is_missed(out: Path, state: str, name: str) -> None:
    folder = SweepFolder(out).of(CELLS[state])
    (folder.path / name).unlink()
    with pytest.raises(rows.DamagedFileError, match=rf"{name} has 0 lines, not the \d+ that .* knows of\n  it is gone"):
        SweepFolder(out).session([]).__enter__()
    assert SweepFolder(out).of(CELLS[state]).state == ("waiting", None)


@pytest.mark.parametrize(
    ("state", "name", "kind"),
    [
        ("finished", "rows.jsonl", "a bit flipped"),
        ("interrupted", "rows.jsonl", "emptied"),
        ("finished", "outcomes.jsonl", "the last line lost"),
        ("finished", "finished.json", "an empty object"),
        ("interrupted", "checkpoint.safetensors", "cut in the middle"),
    ],
)
def test_the_next_run_makes_it_whole(
    trained: Path, whole: pl.DataFrame, out: Path, state: str, name: str, kind: str
) -> None:
    path = SweepFolder(out).of(CELLS[state]).path / name
    path.write_bytes((ROWS | OBJECT)[kind](path.read_bytes(), b""))
    with pytest.raises(rows.DamagedFileError):
        run(out)
    assert rows.read_table(run(out).path).drop(rows.WALL_COLUMNS, rows.IDENTITY).equals(whole)


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no network": lambda state: state.pop("model"),
    "a network of nothing": lambda state: state["model"].clear(),
    "a network of another width": lambda state: state["model"].update({n: v[:1] for n, v in state["model"].items()}),
    "no optimizer": lambda state: state["optimizer"].clear(),
    "a step in words": lambda state: state.update(step="seven"),
}
"""Checkpoints whose digest is right and which no cell of this code wrote: only the network tells."""


@pytest.mark.parametrize("kind", FORGED)
def test_a_whole_checkpoint_that_does_not_fit_is_set_aside(whole: pl.DataFrame, out: Path, kind: str) -> None:
    path = SweepFolder(out).of(INTERRUPTED).checkpoint
    contents, facts = checkpoint.load(path, torch.device("cpu")), checkpoint.verify(path)
    FORGED[kind](contents)
    checkpoint.save(path, contents, **facts)
    table = rows.read_table(run(out).path)
    assert table.drop(rows.WALL_COLUMNS, rows.IDENTITY).equals(whole), "it was trained from its start"
    assert path.with_name(f"{path.name}.damaged-1").exists()


def test_memory_that_does_not_suffice_says_nothing_of_a_checkpoint(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, state: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    path = SweepFolder(out).of(INTERRUPTED).checkpoint
    model = torch.nn.Linear(1, 1)
    monkeypatch.setattr(torch.nn.Linear, "load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError):
        checkpoint.restore(path, INTERRUPTED.id, model, device=torch.device("cpu"))


def test_no_bit_of_a_finished_cell_flips_unseen(out: Path) -> None:
    """Of its rows and of what says that it is finished, one bit of every seventh byte."""
    of_cell = SweepFolder(out).of(FINISHED).path
    expected = CellFolder(of_cell, FINISHED.id).rows
    for name in ("rows.jsonl", "finished.json"):
        path = of_cell / name
        data = path.read_bytes()
        for at in range(0, len(data), 7):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            folder = CellFolder(of_cell, FINISHED.id)
            try:
                assert (folder.state, folder.rows) == (("ok", None), expected), at
            except (rows.DamagedFileError, rows.OtherCodeError):
                continue
        path.write_bytes(data)


# Other code


def test_whole_rows_of_newer_code_are_refused_by_name_and_everything_stays(out: Path) -> None:
    folder = SweepFolder(out).of(FINISHED)
    for change, said in (({"schema_version": 99}, "schema version 99"), ({"status": "dreaming"}, "status 'dreaming'")):
        kept = folder.rows_file.read_bytes()
        rows.rewrite(folder.rows_file, [row | change for row in rows.read(folder.rows_file)])
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != "lock"}
        with pytest.raises(rows.OtherCodeError, match=rf"rows\.jsonl, line 1: {said}; this code .*; it stays as it is"):
            SweepFolder(out).session([]).__enter__()
        after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != "lock"}
        assert after == before
        folder.rows_file.write_bytes(kept)


def test_rows_without_checks_are_read_and_go_on(whole: pl.DataFrame, out: Path) -> None:
    """As code before this wrote them: reading changes nothing; a cell that is trained anew writes checks."""
    for cell in CELLS.values():
        folder = SweepFolder(out).of(cell)
        for path in (folder.rows_file, folder.outcomes_file, folder.finished, folder.plan):
            if path.exists():
                told = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else []
                told = told or [json.loads(path.read_text())]
                for each in told:
                    for name in (rows.stamps.NAME, "rows", "outcomes", "source"):
                        each.pop(name, None)
                    each |= {"schema_version": 5} if path == folder.rows_file else {}
                path.write_text("".join(json.dumps(each) + "\n" for each in told))
    (saved := SweepFolder(out).of(INTERRUPTED).checkpoint).rename(saved.with_suffix(".pt"))  # not read
    kept = SweepFolder(out).of(FINISHED).rows_file.read_bytes()
    place = run(out)
    assert place.of(FINISHED).rows_file.read_bytes() == kept
    assert rows.read_table(out).select(whole.columns).equals(whole)
    assert all(rows.stamps.NAME.encode() in line for line in place.of(INTERRUPTED).rows_file.read_bytes().splitlines())
    place.of(FINISHED).rows_file.write_bytes(b"".join(kept.splitlines(keepends=True)[:-2]))
    with pytest.raises(rows.DamagedFileError, match=r"rows\.jsonl does not have the last rows of a cell that ended ok"):
        SweepFolder(out).session([]).__enter__()


def test_a_file_that_changes_under_a_running_cell_ends_it(tmp_path: Path) -> None:
    trainer = Trainer(FINISHED, tmp_path)
    trainer.run(stop=lambda: trainer.step >= 3)
    trainer = Trainer(FINISHED, tmp_path)
    tested = trainer.evaluation_rows

    def lost() -> list[rows.Row]:
        trainer.rows_path.unlink()
        return tested()

    trainer.evaluation_rows = lost  # type: ignore[method-assign]
    with pytest.raises(rows.DamagedFileError, match=r"rows\.jsonl was changed while its cell was trained"):
        trainer.run()


# Tables


@pytest.mark.parametrize("name", ["rows.parquet", "outcomes.parquet"])
@pytest.mark.parametrize("kind", [*ANY, "far inside", "a folder"])
def test_a_damaged_table_is_gathered_again(trained: Path, out: Path, name: str, kind: str) -> None:
    if kind == "of another cell":
        pytest.skip("a table is of all cells")
    path = out / name
    before = path.read_bytes()
    flipped = before[: len(before) // 2] + bytes([before[len(before) // 2] ^ 4]) + before[len(before) // 2 + 1 :]
    if kind == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(flipped if kind == "far inside" else ANY[kind](before, b""))
    place = SweepFolder(out)
    with place.session([]):
        assert path.read_bytes() == before
    assert any(f"set aside as {path}.damaged-1" in line for line in place.remarks)


def test_no_bit_of_a_table_flips_unseen(out: Path) -> None:
    path = out / "rows.parquet"
    data, expected = path.read_bytes(), rows.read_table(out)
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        try:
            assert rows.read_table(out).equals(expected), at
        except rows.DamagedFileError:
            continue


def test_bench_table_gathers_a_damaged_table_again(out: Path) -> None:
    expected = bench("table", out)
    assert (expected.code, expected.err) == (0, "")
    path = out / "rows.parquet"
    path.write_bytes(ANY["a bit flipped"](path.read_bytes(), b""))
    for command in ("figures", "verify", "seeds", "report"):
        told = bench(command, out, *(["--out", out / "page.html"] if command == "report" else []))
        assert told.code == 2 and f"`bench table {out}` gathers it again" in told.err
        assert len(told.err.splitlines()) == 1
    done = bench("table", out)
    assert (done.code, done.out) == (0, expected.out)
    assert f"set aside as {path}.damaged-1" in done.err
    assert bench("table", out).err == ""


def test_one_bad_cell_does_not_poison_the_tables(out: Path) -> None:
    path = SweepFolder(out).of(INTERRUPTED).rows_file
    path.write_bytes(ROWS["half a character"](path.read_bytes(), b""))
    (out / "rows.parquet").unlink()
    place = SweepFolder(out)
    place.gather()
    assert set(rows.read_table(out)["cell_id"]) == {FINISHED.id}
    (said,) = place.remarks
    assert said.startswith(f"left out of the tables: {path}, line 2: reason is '\\ud800'")


def test_two_plug_ins_may_use_one_name_for_two_types(out: Path) -> None:
    written = SweepFolder(out).of(FINISHED).rows
    values: list[Any] = [3, "three", [3, 4], True, None]
    frame = rows.table([row | {"cell_id": str(i), "width": value} for i, value in enumerate(values) for row in written])
    told = frame.select("cell_id", "width").unique().sort("cell_id")["width"].to_list()
    assert told == ["3", "three", "3 4", "True", None]
    apart = [rows.table([row | {"width": value} for row in written]) for value in ([3, 4], 3)]
    assert rows.concatenate(apart)["width"].unique(maintain_order=True).to_list() == ["3 4", "3"]


def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    """As in the name of a file that a model's error tells."""
    path = tmp_path / "rows.jsonl"
    rows.append(path, [{"reason": "no file 'a\udcff'", "Bücher": "😀"}])
    assert json.loads(path.read_bytes())["reason"] == "no file 'a?'"
    assert "😀" in path.read_text("utf-8")
    with pytest.raises(rows.DamagedFileError, match="line 1: not a row of sleepbench: it lacks schema_version"):
        rows.read(path)


# Tables of other programs


@pytest.fixture(scope="module")
def theirs() -> pl.DataFrame:
    return rows.table(planted(flat(n1=0.6, n2=0.9), depths=(1,), seeds=1, schema_version=rows.SCHEMA_VERSION))


@pytest.mark.parametrize("kind", ["another type", "a mapping", "no value"])
@pytest.mark.parametrize("name", rows.COLUMNS)
def test_a_column_that_is_not_what_rows_have_is_named(
    theirs: pl.DataFrame, tmp_path: Path, name: str, kind: str
) -> None:
    path, number = tmp_path / "rows.parquet", rows.COLUMNS[name].kind != "str"
    needed = name in (*schema.NAME_COLUMNS, *schema.TEST_COLUMNS)
    value = {"another type": pl.lit("x" if number else 3), "a mapping": pl.struct(a=1), "no value": pl.lit(None)}[kind]
    theirs.with_columns(value.alias(name)).write_parquet(path)
    if kind == "no value" and not needed:
        assert rows.read_table(path)[name].null_count() == theirs.height
        return
    with pytest.raises(rows.DamagedFileError, match=rf"{path} is not a table of rows: .*\b{name}\b"):
        rows.read_table(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("sleep_passes", "one"), ("tokens", 0.5), ("rollout_steps", "1"), ("eviction", 0), ("hard_share", "")],
)
def test_a_setting_that_readers_know_by_name_and_is_of_another_type_is_named(
    theirs: pl.DataFrame, tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "rows.parquet"
    theirs.with_columns(pl.lit(value).alias(name)).write_parquet(path)
    with pytest.raises(rows.DamagedFileError, match=rf"not a table of rows: column {name} is of "):
        rows.read_table(path)


@pytest.mark.parametrize("command", ["table", "verify", "figures", "seeds"])
def test_a_table_that_lacks_a_column_gets_one_message(theirs: pl.DataFrame, tmp_path: Path, command: str) -> None:
    theirs.drop("axis", "chance").write_parquet(tmp_path / "rows.parquet")
    done = bench(command, tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"bench: {tmp_path / 'rows.parquet'} is not a table of rows: it lacks axis, chance\n"


def test_numbers_of_other_types_are_read(theirs: pl.DataFrame, tmp_path: Path) -> None:
    """As pandas writes whole numbers with gaps, and others write texts by their number."""
    path = tmp_path / "rows.parquet"
    theirs.with_columns(
        pl.col("seed", "difficulty", "sleep_passes").cast(pl.Float64),
        pl.col("step").cast(pl.UInt8),
        pl.col("task").cast(pl.Categorical),
    ).write_parquet(path)
    assert rows.read_table(path).equals(rows.conform(theirs, path))
    for name, value in (("seed", 0.5), ("sleep_passes", 1.5), ("window", 0), ("seed", 2**64 - 1)):
        theirs.with_columns(pl.lit(value).alias(name)).write_parquet(path)
        with pytest.raises(rows.DamagedFileError, match=name):
            rows.read_table(path)


# A worker that dies at its end


def test_a_worker_that_dies_after_its_last_word_on_disk_has_finished(
    trained: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finished.json and the word to the sweep."""
    from benchmark.run import worker

    work, told = worker.work, list[str]()

    def dying(*arguments: Any) -> None:
        job, send, stop = arguments
        work(job, lambda **event: send(**event) if event["event"] != "end" else None, stop)
        raise SystemExit(9)

    monkeypatch.setattr(worker, "work", dying)
    place = SweepFolder(out)
    with place.session([INTERRUPTED], CONTEXT):
        states = sweep.run(
            [INTERRUPTED],
            place,
            Serial(),
            context=CONTEXT,
            on_event=lambda event: told.append(event.contents.get("status", "")),
        )
    assert states == {INTERRUPTED.id: ("ok", None)}
    assert told[-1] == "ok"
    assert set(rows.read_table(out)["status"]) == {"ok"}
    assert {row["status"] for row in comparable(place.of(INTERRUPTED).rows)} == {"ok"}


def test_nothing_is_recorded_of_a_cell_that_another_worker_holds(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_folder, "DYING_S", 0.1)
    folder = SweepFolder(out).of(INTERRUPTED)
    (folder.path / "lock").touch()  # of its worker
    before = folder.rows_file.read_bytes()
    with CellFolder(folder.path).locked() as mine:
        assert mine
        assert folder.lost({"status": "crashed"}) == ("interrupted", None)
    assert folder.rows_file.read_bytes() == before
