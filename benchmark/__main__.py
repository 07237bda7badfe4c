"""`bench`, which is `python -m benchmark`, from its first moment to its last.

Ctrl-C while it imports, or while the interpreter ends, is no traceback: there is nothing to save, and the process dies.
"""

import signal


def main() -> None:
    """Run the command."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else somebody ignores it, or handles it
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from benchmark.cli import main as command

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
