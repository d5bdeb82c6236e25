"""System calls that programs in a sandbox are refused, as a filter for the kernel.

A sandbox that root makes runs as root's own user id, without any of its rights. Of what the kernel gives to an id and
not to a right, keys are left: the keyrings of the machine's root. The rest are doors that no training needs, with a
history: container engines shut them too.
"""

import platform
import struct
from typing import Final

_REFUSED: Final = ("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup")
# For each machine: what the kernel calls it (AUDIT_ARCH_…), and the numbers of the calls in the order above.
_MACHINES: Final = {
    "x86_64": (0xC000003E, (248, 249, 250, 321, 298, 323, 425)),
    "aarch64": (0xC00000B7, (217, 218, 219, 280, 241, 282, 425)),
}
# Numbers from here on are x86-64's other calling convention, x32, which would go round the filter.
_X32: Final = 0x40000000
# Instructions of classic BPF: load a word of what is known of the call, compare, answer.
_LOAD, _EQUAL, _AT_LEAST, _ANSWER = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW: Final = 0x7FFF0000
_ENOSYS: Final = 38
_REFUSE: Final = 0x00050000 | _ENOSYS


def program(machine: str = platform.machine()) -> bytes:
    """The filter for a machine; empty where its numbers aren't known. Refused calls fail as if there were none."""
    if machine not in _MACHINES:
        return b""
    architecture, numbers = _MACHINES[machine]
    # Jumps count the instructions that are left before the last one, which refuses.
    after = len(numbers) + 2
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, after + 1, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, after - 1, 0, _X32),
        *((_EQUAL, after - 2 - place, 0, number) for place, number in enumerate(numbers)),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
