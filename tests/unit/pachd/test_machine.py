"""What a machine has, and what a container on it may use."""

import os
from pathlib import Path

import pytest

from kaos.pachd.machine import capacity, memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_machine_has_all_its_memory(tmp_path: Path) -> None:
    assert memory(tmp_path) == MACHINE


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
@pytest.mark.parametrize(("bound", "found"), [("1048576\n", 2**20), ("max\n", MACHINE), (f"{2**63 - 4096}\n", MACHINE)])
def test_a_container_has_what_it_may_use(tmp_path: Path, name: str, bound: str, found: int) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(bound)
    assert memory(tmp_path) == found


def test_the_workers_share_the_cores(tmp_path: Path) -> None:
    found = capacity(3, cgroups=tmp_path)
    assert (found.cores, found.memory) == (3, MACHINE)
