"""`python -m benchmark.cli`: the command without its script."""

from benchmark.__main__ import main

main()
