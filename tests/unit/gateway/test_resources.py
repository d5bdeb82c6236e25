"""Quantities of memory mean what Kubernetes means by them."""

import pytest

from functions.gateway.resources import memory_bytes
from shared.errors import Reject


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("512Mi", 512 * 2**20),
        ("2G", 2 * 10**9),
        ("1e9", 10**9),
        ("1.5Gi", 3 * 2**29),
        ("4194304", 2**22),
        ("32Ti", 2**45),
    ],
)
def test_amounts(quantity: str, size: int) -> None:
    assert memory_bytes(quantity) == size


@pytest.mark.parametrize(
    "quantity",
    [
        "",
        "0",
        "-1Gi",
        "512m",
        "1e9Gi",
        "1e99T",
        "1K",
        "1 Gi",
        "NaN",
        "inf",
        "0x10",
        "\uff11Gi",
        "1Gi\n",
        "9" * 16,
        "33Ti",
        "4095Ki",
    ],
)
def test_nonsense(quantity: str) -> None:
    with pytest.raises(Reject) as reject:
        memory_bytes(quantity)
    assert reject.value.code == "options.memory"
