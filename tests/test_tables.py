"""The summary of rows: what each column says, by hand on a few rows; the forms it is written in; rows of old."""

import csv
import io
import re
from pathlib import Path

import polars as pl
import pytest
from harness import bench

from benchmark import figures, rows
from benchmark.cells import dictionary
from benchmark.cells.cell import Training
from benchmark.judge import statistics, summaries
from benchmark.judge.summaries import caption, in_latex, markdown, summary
from benchmark.rows import text
from benchmark.rows.studies import studies
from benchmark.rows.text import Entry, Table

OLD = Path(__file__).parent / "data" / "rows-v1.parquet"
"""Every fourth test of four cells of `results/reference/muon-rate-cpu`, as the code of schema version 1 wrote them."""


def cell(
    n: int, seed: int, scores: list[float], *, depth: int = 3, tokens: int = 400, **more: object
) -> list[rows.Row]:
    """A cell tested every 100 tokens; a pass more costs as many FLOPs again."""
    facts = {
        "schema_version": 1, "suite": "passes", "scale": "tiny", "status": "ok",
        "cell_id": f"{n}-{seed}-{depth}-{more}", "task": "rule110", "task_version": 9,
        "model": "hybrid", "model_version": 1, "seed": seed, "device": "cpu",
        "axis": "rollout_steps", "difficulty": depth, "rollout_steps": depth, "sleep_passes": n, "tested_passes": n,
        "test_passes": [], "tokens": 400, "split": "test", "chance": 0.5,
    }  # fmt: skip
    steps = range(1, len(scores) + 1)
    return [
        facts | more | {"step": i, "tokens_seen": 100 * i, "train_flops": 1e3 * n * i, "answer": answer,
                        "exact_match": score, "lift": 2 * score - 1}
        for i, score in zip(steps, scores, strict=True) for answer in (None, 0)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    found = [
        *cell(1, 0, [0.5, 0.6, 0.7, 0.8]), *cell(1, 1, [0.5, 0.5, 0.6, 0.6]),
        *cell(2, 0, [0.6, 0.7, 0.95, 1.0]), *cell(2, 1, [0.6, 0.8, 0.85, 0.85]),
        *cell(4, 0, [0.7, 0.9]),  # unfinished
    ]  # fmt: skip
    return summary(rows.table(found))


def test_seeds_that_failed_are_counted_under_the_table(tmp_path: Path) -> None:
    def failed(n: int, seed: int, status: str, **more: object) -> rows.Row:
        first, *_ = cell(n, seed, [0.5], **more)  # type: ignore[arg-type]
        scores = ("exact_match", "lift", "chance", "step", "tokens_seen", "train_flops", "answer")
        return first | dict.fromkeys(scores) | {"status": status, "reason": "why"}

    whole = [row for seed in range(3) for row in cell(2, seed, [0.6, 0.7, 0.8, 0.9])]
    ends = [
        failed(2, 3, "diverged"),
        failed(2, 4, "diverged"),
        failed(2, 5, "timed_out"),
        failed(4, 0, "out_of_memory"),
    ]
    frame = rows.table([*whole, *ends])
    words = (
        "Left out: 2 of 6 seeds diverged at N = 2, t = 3; 1 of 6 seeds timed out at N = 2, t = 3; "
        "1 of 1 seed ran out of memory at N = 4, t = 3."
    )
    assert summaries.omissions(frame) == words
    assert studies(frame)[0].note.endswith(words)
    assert caption(frame).endswith(words)
    summaries.write(frame, tmp_path)
    assert (tmp_path / "summary.md").read_text().endswith(f"\n\n{words}\n")
    rows.write_table(tmp_path / "rows.parquet", frame.to_dicts())
    assert bench("table", tmp_path).out.endswith(f"\n\n{words}\n")
    assert summaries.omissions(rows.table(whole)) == ""


def test_a_line_for_every_n_with_finished_cells(table: pl.DataFrame) -> None:
    assert table["N"].to_list() == [1, 2]
    assert table["rollout_steps"].to_list() == [3, 3]
    assert table["seeds"].to_list() == [2, 2]
    assert table["setting"].to_list() == [None, None]


def test_scores_at_the_end_of_the_budget(table: pl.DataFrame) -> None:
    assert table["exact_match"].to_list() == pytest.approx([0.7, 0.925])
    assert table["lowest"].to_list() == [0.6, 0.85]
    assert table["highest"].to_list() == [0.8, 1.0]


def test_at_the_smaller_budget_the_dearer_model_has_read_less(table: pl.DataFrame) -> None:
    assert table["at_smaller_budget"].to_list() == pytest.approx([0.7, 0.75])  # N = 2 after half its tokens


def test_at_the_larger_budget_a_model_that_ends_before_has_no_score(table: pl.DataFrame) -> None:
    assert table["at_larger_budget"].to_list() == [None, pytest.approx(0.925)]


def test_tokens_needed_count_only_the_seeds_that_got_there(table: pl.DataFrame) -> None:
    assert table["reached"].to_list() == [0, 1]
    assert table["tokens_needed"].to_list() == [None, 280.0]  # a lift of 0.8 is 0.9, on the line from 0.7 to 0.95


def test_what_varies_is_never_averaged_over() -> None:
    both = cell(1, 0, [0.6] * 4, window_embedding=False) + cell(1, 0, [0.9] * 4, window_embedding=True)
    found = summary(rows.table(both))
    assert sorted(zip(found["setting"], found["exact_match"], strict=True)) == [
        ("window embedding False", 0.6),
        ("window embedding True", 0.9),
    ]


def test_variants_are_ranked_at_one_budget_with_their_costs() -> None:
    cost = {"parameters": 1000, "state_bytes": 64, "cache_bytes": 56, "wall_s": 3.0}
    found = [
        *cell(2, 0, [0.6, 0.7, 0.8, 0.9], variant="sleep", d_model=8, **cost),
        *cell(1, 0, [0.5, 0.6, 0.6, 0.7], variant="plain", d_model=8, **cost),
        *cell(1, 0, [0.6, 0.7, 0.9, 1.0], variant="wider", d_model=16, parameters=4000, state_bytes=64),
        *cell(1, 0, [0.5] * 8, variant="longer", d_model=8, tokens=800, **cost),
    ]
    table = summary(rows.table(found))
    assert table["variant"].to_list() == ["wider", "sleep", "plain", "longer"]
    assert table["setting"].to_list() == [None] * 4
    assert table["parameters"].to_list() == [4000, 1000, 1000, 1000]
    assert table["train_flops"].to_list() == [4e3, 8e3, 4e3, 8e3]
    assert table["at_smaller_budget"].to_list() == [1.0, 0.7, 0.7, 0.5]  # plain has 4 tests, sleep 2 for as much
    assert table["at_larger_budget"].to_list() == [None, 0.9, None, 0.5]
    assert markdown(table).splitlines()[2:4] == [  # a seed whose number of examples is not known has no interval
        "| wider | 3 | 1 | 1 | 0.500 | 1.000 | 1.000 | 1.000 | 1.000 | - | 1 | 0.00M | 4000 | 64 | - | 4.00e+03 | - |",
        "| sleep | 3 | 2 | 1 | 0.500 | 0.900 | 0.900 | 0.900 | 0.700 | 0.900 | 1 | 0.00M "
        "| 1000 | 64 | 56 | 8.00e+03 | 3 |",
    ]


def test_tests_at_other_n_are_lines_of_their_own_under_the_n_of_training() -> None:
    found = []
    for n in (1, 2):
        for tested in (1, 2):
            score = 0.9 if n == tested else 0.6
            found += cell(n, 0, [score] * 4, tested_passes=tested, cell_id=f"cell {n}", test_passes=[1, 2])
    table = summary(rows.table(found))
    assert table.select("setting", "N", "tested_N", "exact_match").rows() == [
        (None, 1, 1, 0.9), (None, 1, 2, 0.6), (None, 2, 1, 0.6), (None, 2, 2, 0.9),
    ]  # fmt: skip
    trained = summary(rows.table(cell(1, 0, [0.9] * 4)))
    assert trained["tested_N"].to_list() == [None]


def test_tasks_of_several_axes_share_a_column_of_difficulties() -> None:
    found = cell(1, 0, [0.9] * 4) + cell(1, 0, [0.8] * 4, task="depo", axis="hops", task_version=2)
    table = summary(rows.table(found))
    assert table.select("setting", "difficulty", "exact_match").rows() == [
        ("task depo", "k = 3", 0.8), ("task rule110", "t = 3", 0.9),
    ]  # fmt: skip


def test_markdown_leaves_out_what_has_no_value(table: pl.DataFrame) -> None:
    lines = markdown(table).splitlines()
    assert lines[0].startswith("| rollout steps | N | seeds | chance | exact match |")
    interval = statistics.over_seeds([0.8, 0.6], 0)
    told = f"{interval.low:.3f} to {interval.high:.3f}"
    assert lines[2] == f"| 3 | 1 | 2 | 0.500 | 0.700 | 0.600 | 0.800 | {told} | 0.700 | - | 0 | - | 4.00e+03 |"
    assert len(lines) == 4


def test_intervals_are_those_of_the_seeds_and_their_examples() -> None:
    found = [row | {"n_examples": 100} for seed, last in enumerate((0.8, 0.7)) for row in cell(1, seed, [0.5, last])]
    found = [row | {"tokens": 200} for row in found]
    for made, scores in ((found, [0.8, 0.7]), (found[: len(found) // 2], [0.8])):
        (line,) = summary(rows.table(made)).to_dicts()
        interval = statistics.over_seeds(scores, 100)
        assert (line["ci_low"], line["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert summary(rows.table(cell(1, 0, [0.5] * 4)))["ci_low"].to_list() == [None]  # one seed, examples not known


# --- other forms ---


def test_csv_has_every_digit_and_lists_as_numbers_with_spaces(tmp_path: Path) -> None:
    found = [row | {"test_passes": [1, 2, 4]} for row in cell(1, 0, [1 / 3] * 4) + cell(1, 1, [2 / 3] * 4)]
    paths = summaries.write(rows.table(found), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["rows.csv", "summary.csv", "summary.md", "summary.tex"]
    tidy = list(csv.DictReader(io.StringIO(paths[0].read_text())))
    assert len(tidy) == len(found) and {line["test_passes"] for line in tidy} == {"1 2 4"}
    assert {float(line["exact_match"]) for line in tidy} == {1 / 3, 2 / 3}
    (line,) = csv.DictReader(io.StringIO(paths[1].read_text()))
    assert (line["variant"], line["lowest"], line["highest"]) == ("", str(1 / 3), str(2 / 3))
    assert paths[2].read_text() == markdown(summary(rows.table(found))) + "\n"
    again = summaries.write(rows.table(found[::-1]), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_latex_is_a_table_that_holds_what_the_markdown_holds() -> None:
    found = [*cell(1, 0, [0.6] * 4, window_embedding=False), *cell(1, 0, [0.9] * 4, window_embedding=True)]
    table = summary(rows.table(found))
    text = in_latex(table, "50 % of a_b & c")
    assert r"\caption{50 \% of a\_b \& c}" in text
    for part in ("toprule", "midrule", "bottomrule", "begin{tabular}{lrrrrrrrrrrrr}", "end{tabular}", "end{table}"):
        assert f"\\{part}" in text
    (head, *lines) = [line.strip().removesuffix(r" \\") for line in text.splitlines() if line.endswith(r"\\")]
    shown = summaries.display_table(table)
    assert head.replace(r"\%", "%").split(" & ") == shown.heads
    assert [line.split(" & ") for line in lines] == shown.lines
    assert text.count("{") == text.count("}")


def test_signs_that_mean_something_to_latex_are_escaped() -> None:
    signs = sorted(text.LATEX)
    lines = Table(["", "plain"], [[f"a{sign}b", "t = 4, 0.5 to 1"] for sign in signs]).latex().splitlines()
    written = [line for line in lines if line.strip().startswith("a")]
    assert len(written) == len(signs) == 12
    assert all(re.fullmatch(r"a\\\S+b & t = 4, 0\.5 to 1 \\\\", line.strip()) for line in written)


def test_a_column_of_numbers_stands_at_the_right() -> None:
    lines = [["a|b", Entry("1k", 1000), "0.5 to 1", None, "-"], ["c", Entry("-", None), "-", None, "d"]]
    assert Table([*"vwxyz"], lines).markdown().splitlines()[1:3] == [
        "|---|---:|---:|---|---|",
        r"| a\|b | 1k | 0.5 to 1 | None | - |",
    ]


@pytest.mark.parametrize(("best", "bold"), [([0.95, 0.96, 0.955], True), ([0.95, 0.4, 0.9], False)])
def test_only_what_is_clearly_the_best_is_bold(best: list[float], bold: bool) -> None:
    found = [row for seed in range(3) for row in cell(1, seed, [0.6 + 0.01 * seed] * 4)]
    found += [row for seed in range(3) for row in cell(2, seed, [best[seed]] * 4)]
    text = in_latex(summary(rows.table([row | {"n_examples": 2048} for row in found])), "")
    assert re.findall(r"textbf\{(.+?)\}", text) == ([f"{sum(best) / 3:.3f}"] if bold else [])


def test_the_caption_says_what_the_numbers_are_of() -> None:
    said = summaries.caption(rows.table(cell(1, 0, [0.6] * 4) + cell(1, 1, [0.6] * 4)))
    assert said.startswith("Suite passes, scale tiny, task rule110; 2 seeds.")


# --- the command ---


def test_the_command_prints_and_writes_every_form(tmp_path: Path) -> None:
    frame = rows.read_table(OLD)
    for form, wanted in (
        ("markdown", markdown(summary(frame)) + "\n"),
        ("latex", in_latex(summary(frame), summaries.caption(frame))),
        ("csv", summaries.csv(summary(frame))),
    ):
        done = bench("table", OLD, "--format", form)
        assert (done.code, done.out) == (0, wanted)
    done = bench("table", OLD, "--out", tmp_path)
    assert [Path(line) for line in done.out.split()] == [tmp_path / name for name in
        ("rows.csv", "summary.csv", "summary.md", "summary.tex")]  # fmt: skip
    assert bench("table", OLD, "--format", "tex").code == 2
    refused = bench("table")
    assert (refused.code, refused.out) == (2, "") and "give a SOURCE" in refused.err


# --- rows of a year ago ---


def test_rows_of_version_1_read_table_and_draw_as_if_written_now(tmp_path: Path) -> None:
    written = pl.read_parquet(OLD)
    assert set(written["schema_version"]) == {1} and "variant" not in written.columns
    frame = rows.read_table(OLD)
    assert set(frame["schema_version"]) == {rows.SCHEMA_VERSION}
    assert frame.columns[: len(rows.COLUMNS)] == list(rows.COLUMNS)
    assert frame["majority"].to_list() == written["chance"].to_list()
    table = summary(frame)
    older = "rule110 v1 (whole strings held out; now v2)"
    settings = [f"{older}, muon lr {rate}" for rate in (0.005, 0.01)]
    assert table["setting"].to_list() == settings
    assert older in caption(frame) and all(older in study.about for study in studies(frame))
    assert table["exact_match"].to_list() == pytest.approx([0.9307, 0.9756], abs=0.05)
    last = written.filter((pl.col("step") == 1149) & pl.col("answer").is_null())
    for setting, rate in zip(settings, (0.005, 0.01), strict=True):
        (line,) = table.filter(pl.col("setting") == setting).to_dicts()
        assert line["exact_match"] == last.filter(pl.col("muon_lr") == rate)["exact_match"].mean()
        assert line["seeds"] == 2 and line["ci_low"] < line["lowest"] <= line["highest"] < line["ci_high"]
    names = {figure.name for figure in figures.drawings(frame)}
    assert "accuracy_by_passes-muon-lr-0.01" in names


# --- the dictionary ---


def test_every_column_has_a_meaning() -> None:
    told = bench("table", "--columns").out
    for name in rows.COLUMNS:
        assert re.search(rf"^\| `{name}` \| \w+ \| .+ \|$", told, re.MULTILINE)
    ours = [(name, owners, about) for name, owners, about in dictionary.settings() if "toy" not in owners]
    assert {"tokens", "rollout_steps", "max_hops", "windows_after", "layout", "top_k"} <= {name for name, *_ in ours}
    assert [name for name, _, about in ours if not about] == []
    for name, owners, about in ours:
        assert f"| `{name}` | {owners} | {about} |" in told


def test_the_rows_that_a_cell_writes_have_no_other_columns() -> None:
    known = {*rows.COLUMNS, *(name for name, *_ in dictionary.settings())}
    assert {*rows.read_table(OLD).columns} <= known


def test_docstrings_are_read_over_lines_classes_and_sections() -> None:
    class Base(Training):
        """Base.

        Attributes:
            batch: Of the base.
            tokens: Two lines
                of text: with a colon.

        Raises:
            clip: no attribute.
        """

    class Derived(Base):
        """Derived.

        Args:
            batch: Its own.
        """

    told = dictionary.documentation(Derived)
    assert (told["batch"], told["tokens"]) == ("Its own.", "Two lines of text: with a colon.")
    assert told["clip"] == "Largest gradient norm."
    assert dictionary.documentation(type("Bare", (), {"__dataclass_fields__": {}})) == {}


@pytest.mark.parametrize("command", ["figures", "table", "verify", "report"])
def test_a_table_without_rows_is_refused_by_name(command: str, tmp_path: Path) -> None:
    rows.read_table(OLD).clear().write_parquet(tmp_path / "rows.parquet")
    done = bench(command, tmp_path, *(["--out", tmp_path / "out"] if command in ("figures", "report") else []))
    assert (done.code, done.out) == (2, "")
    assert f"no rows in {tmp_path}" in done.err and len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_rows_without_a_finished_cell_make_an_empty_table() -> None:
    assert summary(rows.table(cell(1, 0, [0.5]))).is_empty()


def test_texts_of_others_do_nothing_in_any_form() -> None:
    """Names and reasons may come from a stranger's rows: no formula of a spreadsheet, no tag, no line of their own."""
    odd = ["=1+1", "+x", "-x", "@x", "a|b", "<img src=x>", "two\nlines", "\x1b[31mred\x1b[0m", "a\x07b", "[bold]x[/]"]
    table = Table(["what"], [[text] for text in odd])
    assert table.csv().splitlines()[1:5] == ["'=1+1", "'+x", "'-x", "'@x"]
    shown = ["=1+1", "+x", "-x", "@x", r"a\|b", "&lt;img src=x>", "two lines", "red", "a b", "[bold]x[/]"]
    assert [line.strip("| ") for line in table.markdown().splitlines()[2:]] == shown
    assert "two lines" in table.latex() and "\x1b" not in table.latex()
    assert Table(["x"], [["-"], ["-1.5"], [-2], ["a < b"]]).csv() == "x\n-\n-1.5\n-2\na < b\n"
