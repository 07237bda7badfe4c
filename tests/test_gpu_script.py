"""The script of `make gpu`, rehearsed on the CPU."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gpu"))
import run as script  # noqa: E402


def stand_in(monkeypatch: pytest.MonkeyPatch, **commands: str) -> None:
    """Pieces that are a line of Python each."""
    made = [
        script.Piece(name=name, command=(sys.executable, "-c", code), goes_on=name != "brief")
        for name, code in commands.items()
    ]
    monkeypatch.setattr(script, "pieces", lambda out, tiny: made)


def test_pieces_come_in_their_order(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert script.main(["--dry", "--out", str(tmp_path / "none")]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(":")[0] for line in lines]
    assert names == ["correctness", "profile", "rollouts", "deeper", "passes", "hops", "cost"]
    assert all("--scale paper" in line and "--device cuda" in line for line in lines[1:6])
    assert not (tmp_path / "none").exists()


def test_a_piece_that_is_done_is_not_done_again_and_one_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = f"open({str(tmp_path / 'mark')!r}, 'a').write('x')"
    stand_in(monkeypatch, first=mark, second="raise SystemExit(4)", third=mark)
    assert script.main(["--out", str(tmp_path)]) == 1
    assert "not done: second" in capsys.readouterr().err
    stand_in(monkeypatch, first=mark, second=mark, third=mark)
    assert script.main(["--out", str(tmp_path)]) == 0
    assert (tmp_path / "mark").read_text() == "xxx"
    assert set(json.loads((tmp_path / "pieces.json").read_text()).values()) == {"done"}


def test_a_piece_that_takes_long_is_stopped_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = (
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); print('up'); time.sleep(60)"
    )
    stand_in(monkeypatch, long=sleep, brief=sleep)
    assert script.main(["--out", str(tmp_path), "--minutes", "0.02"]) == 1
    status = json.loads((tmp_path / "pieces.json").read_text())
    assert status == {"long": "stopped", "brief": "failed: not done in 0.02 minutes"}
    stand_in(monkeypatch, long="pass")
    assert script.main(["--out", str(tmp_path)]) == 0


def test_an_unknown_piece_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["--only", "rollout"])
    assert "unknown piece rollout" in capsys.readouterr().err


def test_every_command_is_one_that_is_understood(tmp_path: Path) -> None:
    """The suites' own requests, as they are on a GPU."""
    from benchmark.cells.request import Request

    chosen = {piece.name: piece.command for piece in script.pieces(tmp_path, tiny=False)}
    assert chosen["rollouts"][4] == "rollouts"
    assert len(Request(suite="rollouts", scale="paper", seeds=[0, 1, 2]).plan().cells()) == 18
    deeper = Request(
        suite="rollouts",
        scale="paper",
        seeds=[0],
        axes=[chosen["deeper"][chosen["deeper"].index("--axis") + 1]],
        rollout_steps=[4, 8, 10, 12, 14, 16],
    )
    assert {cell.training.sleep_passes for cell in deeper.plan().cells()} == {2, 3, 4}


def test_a_rehearsal_trains(tmp_path: Path) -> None:
    assert script.main(["--tiny", "--out", str(tmp_path), "--only", "rollouts"]) == 0
    assert (tmp_path / "rollouts" / "rows.parquet").exists()
