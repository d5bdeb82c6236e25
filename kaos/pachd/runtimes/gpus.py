"""The GPUs of this machine: which there are, and what of /dev a container that got some of them may open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pynvml

# What every program that uses any GPU opens.
_CONTROLS: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU: the number of its device file, and the name that CUDA knows it by whatever else is visible."""

    minor: int
    uuid: str


def installed() -> tuple[Gpu, ...]:
    """The GPUs in the driver's order, which is what Limits.gpus counts in; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_describe(index) for index in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()


def _describe(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(int(pynvml.nvmlDeviceGetMinorNumber(handle)), str(pynvml.nvmlDeviceGetUUID(handle)))


def device_files(gpus: Sequence[Gpu], dev: Path = Path("/dev")) -> Iterator[Path]:
    """The device files of these GPUs and of the driver; nothing for no GPU."""
    if gpus:
        yield from (dev / f"nvidia{gpu.minor}" for gpu in gpus)
        yield from (dev / name for name in _CONTROLS if (dev / name).exists())
