"""A Ray to run on: a cluster that is there, or one of this machine's own that ends with the sweep.

Ray runs code for whoever reaches it. So tokens are asked for in both, and the machine's own has every socket on
127.0.0.1; it has no dashboard, and reports nothing to anybody.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

SETTINGS = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's word for: this machine alone, all sockets on 127.0.0.1."""

QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Ray prints no line of its own between those of the sweep, which says in its own words what became of a cell."""

STORE_BYTES = 512 * 2**20
"""What Ray's store may take of this machine's memory. Checkpoints pass through it; what does not fit goes to disk."""

HELP = "see benchmark/CLUSTERS.md"


def prepare(address: str | None) -> None:
    """Make Ray's settings, which it reads when it is imported, and look whether a cluster keeps to them.

    Raises:
        ValueError: Ray is not installed or was imported with other settings; the cluster does not answer, refuses
            this process's token, or asks for none.
    """
    if find_spec("ray") is None:
        raise ValueError("executor 'ray' needs Ray: pip install 'ray==2.60.*'")
    settings = SETTINGS | ({} if address else LOOPBACK)
    if "ray" in sys.modules and (missing := [n for n, value in settings.items() if os.environ.get(n) != value]):
        raise ValueError(
            f"Ray was imported here without {' '.join(f'{name}={settings[name]}' for name in missing)}, which it reads "
            "when it is imported: start a new process, or set them in the environment"
        )
    os.environ.update(settings | QUIET)
    if address:
        _check(address)
    else:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _check(address: str) -> None:
    """Whether a cluster answers to this process's token, and to nobody without one.

    Raises:
        ValueError: it does not.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:]+\]", host) or not port.isdecimal():
        raise ValueError(f"address is HOST:PORT of a cluster's head, such as 10.0.0.1:6379; given {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"nothing answers at {address} ({error}); {HELP}") from error
    stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
    processes = [_health(address, os.environ.copy()), _health(address, stranger | {"RAY_AUTH_MODE": "disabled"})]
    (known, message), (unknown, _) = [(process.wait(), process.communicate()[1]) for process in processes]
    if known != 0:
        last = (message.strip().splitlines() or ["no reason given"])[-1]
        raise ValueError(f"Ray at {address} does not let this process in; set RAY_AUTH_TOKEN to its token: {last}")
    if unknown == 0:
        raise ValueError(
            f"Ray at {address} asks for no token, so whoever reaches it can run code there; start all of its nodes "
            f"with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN; {HELP}"
        )


def _health(address: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )


@contextmanager
def connection(address: str | None, *, cpus: int, code: str, environment: dict[str, str]) -> Iterator[None]:
    """Use the cluster at an address, or one of this machine's own, until the end of the block.

    Args:
        address: HOST:PORT, which `prepare` found good; or None.
        cpus: What this machine's own has, as cells count them.
        code: The folder of code that workers import from.
        environment: Environment variables of workers.

    Raises:
        ValueError: this process uses Ray already, or cannot join it; this machine must be one of the cluster's nodes.
    """
    import ray

    if ray.is_initialized():
        raise ValueError("this process uses Ray already; call ray.shutdown() first")
    # The paths of sockets in it must be short.
    own = None if address else tempfile.mkdtemp(prefix=f"bench-ray-{os.getpid()}-", dir="/tmp")
    where: dict[str, Any] = {"address": address}
    if own:
        where = {"address": "local", "num_cpus": cpus, "object_store_memory": STORE_BYTES, "_temp_dir": own}
        where |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(
                **where,
                runtime_env={"working_dir": code, "env_vars": environment},
                log_to_driver=False,
                logging_level="error",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(f"cannot use Ray at {address or '127.0.0.1'}: {error}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)  # Ray has put its own in the place
        yield
    finally:
        ray.shutdown()
        if own:
            shutil.rmtree(own, ignore_errors=True)
