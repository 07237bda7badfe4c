"""`make chaos` in a few seconds: every campaign a little, on the smallest cells."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import ROOT


def test_a_sweep_that_is_disturbed_loses_nothing() -> None:
    """In a process of its own, as it forks: threads of what ran before would be missing."""
    command = [sys.executable, "-W", "error", "-m", "chaos", "--short"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    disturbed = re.search(r"^chaos: (\d+) disturbances, (\d+) clean runs afterwards: no row lost", done.stdout, re.M)
    assert disturbed and int(disturbed[1]) >= 15 and int(disturbed[2]) >= 10
