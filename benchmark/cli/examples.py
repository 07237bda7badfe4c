"""An example of each command, which its `--help` ends with."""

EXAMPLES = {
    "run": "bench run passes --scale cpu --sleep-passes 1,2 --seeds 0-4 --set tokens=2M --axis d_model=32,64",
    "list": "bench list --json",
    "show": "bench show quick --scale tiny --model own:build",
    "status": "bench status results/runs/quick-cpu",
    "retry": "bench retry results/runs/quick-cpu --status diverged,timed_out",
    "clean": "bench clean results/runs/quick-cpu --dry-run",
    "figures": "bench figures results/runs/quick-cpu",
    "table": "bench table results/runs/quick-cpu --format latex",
    "data": "bench data depo --split test --examples 100 --out depo.jsonl",
    "gallery": "bench gallery --check",
    "hardness": "bench hardness recall --examples 2000 --out hardness",
    "cost": "bench cost hybrid --windows 24,75 --sleep-passes 1,2,4",
    "audit": "bench audit own:build --window 6 --sleep-passes 2",
    "evaluate": "bench evaluate results/runs/quick-cpu/cells/ID --sleep-passes 1,2 --export weights.safetensors",
    "probe": "bench probe results/runs/quick-cpu --seeds 0",
    "reference": "bench reference --dry",
    "speed": "bench speed --against main --markdown speed.md",
    "profile": "bench profile passes --sleep-passes 1,4 --rollout-steps 6 --out profile",
    "verify": "bench verify results/runs/passes-cpu --claim two-beats-one",
    "check": "bench check new/rows.parquet --against results/reference/passes-cpu --markdown check.md",
    "check-model": "bench check-model own:build --task recall",
    "seeds": "bench seeds results/runs/passes-cpu",
    "exits": "bench exits results/runs/any-n-cpu",
    "report": "bench report results/runs/passes-cpu --out report.html",
}
"""Command -> one line that runs it."""


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"Example: {EXAMPLES[command]}"
