"""GPUs by NVIDIA's library, which this machine need not have."""

from pathlib import Path

import pynvml
import pytest

from kaos.pachd.runtimes.gpus import Gpu, device_files, installed


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that numbers its two GPUs otherwise than their device files."""
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMinorNumber", lambda index: 5 - index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda index: f"GPU-{index}")


@pytest.mark.usefixtures("driver")
def test_each_has_its_device_file() -> None:
    assert installed() == (Gpu(Path("/dev/nvidia5"), "GPU-0"), Gpu(Path("/dev/nvidia4"), "GPU-1"))


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert installed() == ()


def test_the_drivers_own_files_come_along(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    given = [Gpu(tmp_path / "nvidia0", "GPU-0")]
    assert [path.name for path in device_files(given)] == ["nvidia0", "nvidiactl", "nvidia-uvm"]
    assert list(device_files([])) == []
