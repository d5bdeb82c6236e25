"""Quantities of memory mean what Kubernetes means by them."""

import pytest
from pydantic import ValidationError

from shared.quantities import memory_bytes
from shared.settings import Settings


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("512Mi", 512 * 2**20),
        ("2G", 2 * 10**9),
        ("1e9", 10**9),
        ("1.5Gi", 3 * 2**29),
        ("4194304", 2**22),
        ("32Ti", 2**45),
        ("0", 0),
    ],
)
def test_amounts(quantity: str, size: int) -> None:
    assert memory_bytes(quantity) == size


@pytest.mark.parametrize(
    "quantity", ["", "-1Gi", "512m", "1K", "1 Gi", "NaN", "inf", "0x10", "\uff11Gi", "1Gi\n", "9" * 16, "1e999"]
)
def test_nonsense(quantity: str) -> None:
    with pytest.raises(ValueError, match="is no amount of memory"):
        memory_bytes(quantity)


def test_settings_take_amounts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, size in (("8Gi", 2**33), ("1024", 1024), ("0", 0)):
        monkeypatch.setenv("KAOS_TRIAL_MAX_MEMORY", text)
        assert Settings().trial_max_memory == size
    monkeypatch.setenv("KAOS_TRIAL_MAX_MEMORY", "512m")
    with pytest.raises(ValidationError, match="is no amount of memory"):
        Settings()
