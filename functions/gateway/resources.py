"""What a user may ask of the machine for a trial: refused at once, so that it never queues for what cannot be."""

import re
from typing import Final

from shared.errors import Reject
from shared.runs import Options

# Kubernetes quantities of memory. Not `m`: 512m means half a byte there, and is always a mistake for 512M.
_QUANTITY: Final = re.compile(r"([0-9]{1,15})(\.[0-9]{1,9})?(?:[eE]([0-9]{1,2}))?(Ki|Mi|Gi|Ti|k|M|G|T)?\Z")
_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
# A Python interpreter does not start with less; the largest machines for rent have 32 TiB, 1,920 cores and 16 GPUs.
_LEAST_MEMORY: Final = 4 * 2**20
_MOST_MEMORY: Final = 32 * 2**40
_MOST_CPU: Final = 1_920
_MOST_GPU: Final = 16
# As many as a grid may have trials.
_MOST_PARALLELISM: Final = 10_000


def check(options: Options) -> None:
    """Raises Reject `options.…` where a request is none that any machine could fulfil."""
    if options.cpu is not None and options.cpu > _MOST_CPU:
        raise Reject(
            "options.cpu", f"{options.cpu:g} cores are more than any machine has: ask for {_MOST_CPU} at most."
        )
    if options.gpu is not None and options.gpu > _MOST_GPU:
        raise Reject("options.gpu", f"{options.gpu} GPUs are more than any machine has: ask for {_MOST_GPU} at most.")
    if options.parallelism is not None and options.parallelism > _MOST_PARALLELISM:
        raise Reject("options.parallelism", f"Ask for {_MOST_PARALLELISM:,} trials at once at most.")
    if options.memory is not None:
        memory_bytes(options.memory)


def memory_bytes(quantity: str) -> int:
    """A quantity of memory (`512Mi`, `2G`, `1e9`) in bytes. Raises Reject `options.memory`."""
    match = _QUANTITY.match(quantity)
    if match is None:
        raise Reject("options.memory", f"{quantity[:40]!r} is no amount of memory: write 512Mi, 2G or 1e9.")
    whole, fraction, exponent, unit = match.groups()
    size = int(float(whole + (fraction or "")) * 10 ** int(exponent or 0) * _UNITS[unit or ""])
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise Reject("options.memory", f"{quantity[:40]} of memory is not between 4Mi and 32Ti.")
    return size
