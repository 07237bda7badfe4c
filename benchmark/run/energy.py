"""Energy that a device took, where the machine can measure it: never estimated from FLOPs or time.

A GPU is asked through NVML for the counter of millijoules that it keeps; processors through the counters of RAPL, where
this user may read them. Both count the whole device, with whatever else runs on it.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")


class Meter:
    """Joules that a device has taken for a cell, over all attempts at it."""

    def __init__(self, device: torch.device) -> None:
        self.counter = of_gpu(device) if device.type == "cuda" else of_processors() if device.type == "cpu" else None
        self.joules: float | None = 0.0
        self.start()

    def start(self) -> None:
        """Count from now on."""
        self.last = self.counter() if self.counter else None

    def total(self) -> float | None:
        """Joules so far; None once some of them were not measured."""
        before = self.last
        self.start()
        if self.joules is None or before is None or self.last is None or self.last.keys() != before.keys():
            self.joules = None
        else:
            self.joules += sum(_increase(before[name], self.last[name]) for name in before)
        return self.joules

    def snapshot(self) -> dict[str, float]:
        """What a checkpoint keeps of it; nothing where nothing is measured."""
        return {} if (joules := self.total()) is None else {"energy_j": joules}


Reading = dict[str, tuple[float, float]]
"""Joules by counter, and where it starts again from 0."""


def _increase(before: tuple[float, float], after: tuple[float, float]) -> float:
    """By how much a counter rose that may have started again once."""
    return after[0] - before[0] + (after[1] if after[0] < before[0] else 0.0)


def of_processors(root: Path = RAPL) -> Callable[[], Reading | None] | None:
    """Reads the counters of all packages; None where there are none, or this user may not read them."""
    packages = [zone for zone in sorted(root.glob("*-rapl:*")) if zone.name.count(":") == 1]

    def read() -> Reading | None:
        try:
            files = ("energy_uj", "max_energy_range_uj")
            return {zone.name: (_joules(zone / files[0]), _joules(zone / files[1])) for zone in packages}
        except (OSError, ValueError):
            return None

    return read if packages and read() else None


def _joules(path: Path) -> float:
    return int(path.read_text(encoding="ascii")) / 1e6


def of_gpu(device: torch.device) -> Callable[[], Reading | None] | None:
    """Reads the counter of one GPU; None where NVML is not there, or the GPU has no counter."""
    try:
        nvml, handle = _nvml(), ctypes.c_void_p()
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        if nvml is None or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
            return None
    except (AttributeError, AssertionError, RuntimeError):  # an older torch or NVML; no GPU here
        return None

    def read() -> Reading | None:
        millijoules = ctypes.c_ulonglong()
        failed = nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        return None if failed else {"gpu": (millijoules.value / 1e3, 0.0)}

    return read if read() else None


@lru_cache(maxsize=1)
def _nvml() -> ctypes.CDLL | None:
    """NVIDIA's management library, ready to be asked."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library
