"""Amounts of memory as people write and read them."""

import re
from typing import Final

# Kubernetes quantities of memory. Not `m`: 512m means half a byte there, and is always a mistake for 512M.
_QUANTITY: Final = re.compile(r"([0-9]{1,15})(\.[0-9]{1,9})?(?:[eE]([0-9]{1,2}))?(Ki|Mi|Gi|Ti|k|M|G|T)?\Z")
_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_READABLE: Final = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def memory_bytes(quantity: str) -> int:
    """A quantity of memory (`512Mi`, `2G`, `1e9`) in bytes. Raises ValueError for what is none."""
    match = _QUANTITY.match(quantity)
    if match is None:
        raise ValueError(f"{quantity[:40]!r} is no amount of memory: write 512Mi, 2G or 1e9.")
    whole, fraction, exponent, unit = match.groups()
    return int(float(whole + (fraction or "")) * 10 ** int(exponent or 0) * _UNITS[unit or ""])


def readable(size: int) -> str:
    """`512 MiB`: bytes in the largest unit that leaves at least one, with four digits."""
    for unit, name in _READABLE:
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} B"
