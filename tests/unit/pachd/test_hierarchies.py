"""Where cgroups may be made, read from the files of kernels of all kinds."""

from pathlib import Path

import pytest

from kaos.pachd.runtimes.cgroups import Cgroups
from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.hierarchies import V1, V2, Hierarchy, hierarchies


class Machine:
    """The files by which a kernel tells of cgroups."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.mounts = root / "cgroup"
        self.proc.mkdir()
        self.own: list[str] = []
        self.table: list[str] = ["1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw"]

    def v1(self, controllers: str, own: str, *, root: str = "/") -> Path:
        place = self.mounts / controllers.replace(",", "+")
        self.table.append(f"2 1 0:9 {root} {place} rw,nosuid shared:2 - cgroup cgroup rw,{controllers}")
        self.own.append(f"{len(self.table)}:{controllers}:{own}")
        return self.make(place, own, root)

    def v2(self, own: str, *, root: str = "/", name: str = "") -> Path:
        place = self.mounts / name
        self.table.append(f"3 1 0:10 {root} {place} rw,nosuid shared:3 - cgroup2 cgroup2 rw,nsdelegate")
        self.own.append(f"0::{own}")
        return self.make(place, own, root)

    def make(self, place: Path, own: str, root: str) -> Path:
        path = place / own.removeprefix(root).strip("/") if own.startswith(root) else place
        path.mkdir(parents=True, exist_ok=True)
        (path / "cgroup.procs").touch()
        return path

    def give(self, path: Path, controllers: str) -> None:
        (path / "cgroup.subtree_control").write_text(controllers)
        (path / "cgroup.procs").touch()

    def found(self) -> list[Hierarchy]:
        (self.proc / "cgroup").write_text("".join(f"{line}\n" for line in self.own))
        (self.proc / "mountinfo").write_text("".join(f"{line}\n" for line in self.table))
        return list(hierarchies(self.proc))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_version_1_makes_children_of_our_own_cgroup(machine: Machine) -> None:
    memory = machine.v1("memory", "/outer/ours")
    cpu = machine.v1("cpu,cpuacct", "/")
    machine.v1("freezer", "/")
    assert machine.found() == [
        Hierarchy(memory, V1, frozenset({"memory"})),
        Hierarchy(cpu, V1, frozenset({"cpu", "cpuacct"})),
    ]


def test_in_a_container_the_mount_shows_what_lies_below_its_root(machine: Machine) -> None:
    memory = machine.v1("memory", "/docker/ab12/inner", root="/docker/ab12")
    # Its own path is outside what is mounted: another namespace of cgroups.
    pids = machine.v1("pids", "/docker/ab12", root="/elsewhere")
    assert [place.path for place in machine.found()] == [memory, pids]
    assert memory == machine.mounts / "memory" / "inner"


def test_version_2_goes_up_to_where_children_get_controllers(machine: Machine) -> None:
    own = machine.v2("/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope")
    machine.give(own, "")
    machine.give(own.parent, "memory pids")
    machine.give(own.parent.parent, "cpu memory pids io")
    assert machine.found() == [Hierarchy(own.parent, V2, frozenset({"memory", "pids"}))]


def test_version_2_without_any_delegation_has_no_place(machine: Machine) -> None:
    machine.give(machine.v2("/"), "")
    assert machine.found() == []


def test_both_versions_side_by_side(machine: Machine) -> None:
    memory = machine.v1("memory", "/")
    machine.give(machine.v2("/", name="unified"), "hugetlb")
    assert machine.found() == [Hierarchy(memory, V1, frozenset({"memory"}))]


def test_limits_and_accounts_of_version_2(tmp_path: Path) -> None:
    cgroups = Cgroups("kaos-x-", [Hierarchy(tmp_path, V2, frozenset({"memory", "cpu", "pids"}))], pids=99)
    for file in ("memory.swap.max",):
        (tmp_path / "kaos-x-one").mkdir()
        (tmp_path / "kaos-x-one" / file).touch()
    cgroup = cgroups.create("one", Limits(cpu=1.5, memory=2**29))
    made = tmp_path / "kaos-x-one"
    assert {path.name: path.read_text() for path in made.iterdir()} == {
        "memory.max": str(2**29),
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "pids.max": "99",
    }
    assert cgroup.joins == (made / "cgroup.procs",)
    (made / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (made / "memory.peak").write_text("4096\n")
    (made / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    usage = cgroup.usage()
    assert (usage.cpu_seconds, usage.peak, usage.out_of_memory) == (1.5, 4096, 2)
    cgroup.kill()
    assert (made / "cgroup.kill").read_text() == "1"


def test_without_a_place_nothing_is_limited_and_all_of_it_is_told() -> None:
    cgroups = Cgroups("kaos-x-", [])
    assert cgroups.lacking == ("cpu", "memory", "pids")
    cgroup = cgroups.create("one", Limits(memory=1))
    assert not cgroup
    assert cgroup.joins == ()
    assert cgroup.usage().cpu_seconds is None
