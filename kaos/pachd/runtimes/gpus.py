"""The GPUs of this machine: which there are, and what of /dev a container that got some of them may open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pynvml

_DEV: Final = Path("/dev")
# What every program that uses any GPU opens.
_CONTROLS: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU: its device file, and the name that CUDA knows it by whatever else is visible."""

    device: Path
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
    return Gpu(_DEV / f"nvidia{pynvml.nvmlDeviceGetMinorNumber(handle)}", str(pynvml.nvmlDeviceGetUUID(handle)))


def device_files(gpus: Sequence[Gpu]) -> Iterator[Path]:
    """The device files of these GPUs and of the driver; nothing for no GPU."""
    yield from (gpu.device for gpu in gpus)
    for folder in {gpu.device.parent for gpu in gpus}:
        yield from (folder / name for name in _CONTROLS if (folder / name).exists())
