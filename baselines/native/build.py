"""The C of this folder as a library: compiled once with the machine's own compiler, then found in a cache.

The cache is keyed by the sources, the flags, the compiler and the processor, so that a change of any of them compiles
anew and two machines that share a home folder never load each other's instructions. `python -m baselines.native.build`
compiles it, or says why it cannot and fails.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent
CACHE = "SLEEPBENCH_CACHE"
"""Environment variable: the folder of compiled libraries; by default sleepbench/ in the user's cache."""

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-std=gnu11", "-shared", "-fPIC")


class CompilerError(RuntimeError):
    """There is no compiler, or it does not compile this; the message says which."""


def flags() -> tuple[str, ...]:
    """The flags of this machine: on x86 the widest vectors that it has."""
    wide = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
    return (*FLAGS, *wide)


def library_file(*more: str) -> Path:
    """The library's file, compiled if no equal one is cached.

    Args:
        more: Further flags, such as those of a sanitizer.

    Raises:
        CompilerError: no compiler, or one that fails.
    """
    compiler, options = shlex.split(os.environ.get("CC", "cc")), (*flags(), *more)
    sources = sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.c")])
    try:
        version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompilerError(f"no C compiler: {shlex.join(compiler)} cannot be run ({error})") from error
    key = hashlib.sha256(repr((compiler, version, options, _processor())).encode())
    for source in sources:
        key.update(source.read_bytes())
    folder = _folder()
    library = folder / f"kernel-{key.hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            new = Path(place) / "kernel.so"  # moved in one step: another process finds all of it or nothing
            command = [*compiler, *options, "-o", str(new), str(SOURCES / "kernel.c"), "-lm"]
            process = subprocess.run(command, capture_output=True, text=True)
            if process.returncode:
                errors = process.stderr.strip().splitlines()
                raise CompilerError(
                    f"{shlex.join(compiler)} does not compile it: {errors[0] if errors else process.returncode}"
                )
            new.replace(library)
    return library


@cache
def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        CompilerError: as `library_file`, or a library that this process cannot load.
    """
    try:
        return ctypes.CDLL(str(library_file()))
    except OSError as error:
        raise CompilerError(f"the compiled library cannot be loaded: {error}") from error


def _folder() -> Path:
    if place := os.environ.get(CACHE):
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sleepbench"


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


if __name__ == "__main__":
    try:
        library_file()
    except CompilerError as error:
        raise SystemExit(str(error)) from None
