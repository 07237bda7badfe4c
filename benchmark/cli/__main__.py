"""`python -m benchmark.cli`: the command without its script."""

from benchmark.cli import main

main()
