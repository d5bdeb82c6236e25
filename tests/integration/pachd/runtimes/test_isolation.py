"""What user code in a sandbox can't see, can't change and can't reach."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes.bubblewrap import Bubblewrap
from kaos.pachd.runtimes.cgroups import Cgroups
from kaos.pachd.runtimes.container import Limits
from kaos.pachd.runtimes.gpus import Gpu


@pytest.fixture
def port() -> Iterator[int]:
    """A server of this machine, on its loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_inputs_and_pfs_are_read_only(sandboxed: Any, tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    source.mkdir()
    (source / "x").write_text("kept")
    attempts = ("echo no >/pfs/data/x", "echo no >/pfs/data/new", "rm /pfs/data/x", "chmod 777 /pfs/data/x")
    attempts += ("mount -o remount,rw /pfs/data", "echo no >/pfs/new", "mkdir /pfs/more", "mv /pfs/data /pfs/other")
    script = "\n".join(f"({attempt}) && echo done: '{attempt}'" for attempt in attempts)
    result = await sandboxed("sh", stdin=script.encode(), inputs=(("data", source),))
    assert b"done" not in result.output
    assert result.output.count(b"Read-only file system") >= 6
    assert [path.name for path in source.iterdir()] == ["x"]
    assert (source / "x").read_text() == "kept"


async def test_the_image_may_be_written_but_never_changes(sandboxed: Any, sandboxes: Any) -> None:
    script = "echo >train; touch /opt/program/new /etc/mine; rm -rf /opt/program; ls -d /opt /opt/program /etc/mine"
    assert (await sandboxed("sh", "-c", f"{script} 2>/dev/null")).output == b"/etc/mine\n/opt\n"
    assert (await sandboxed("sh", "-c", "ls /opt/program; ls /etc/mine")).output.startswith(b"train\n")
    assert (sandboxes.layer("a" * 32) / "opt/program/train").read_text().startswith("#!")


async def test_the_hosts_system_is_read_only(sandboxed: Any) -> None:
    script = "for f in /usr/bin/new /usr/lib/new /proc/sys/kernel/printk_delay /proc/self/oom_score_adj"
    result = await sandboxed("sh", "-c", f"{script} /sys/devices/system/new; do (echo x >>$f) && echo wrote $f; done")
    assert b"wrote" not in result.output


async def test_nothing_of_the_kernels_can_be_written(sandboxed: Any) -> None:
    """Root's user id needs no right for that: /proc/sys/kernel/core_pattern would run a program outside."""
    script = (
        "find /proc /sys -type f -writable -not -path '/proc/[0-9]*' -exec sh -c ': >>$1' sh {} ';' -print 2>/dev/null"
    )
    assert (await sandboxed("sh", "-c", script)).output == b""


async def test_the_hosts_keys_are_out_of_reach(sandboxed: Any) -> None:
    program = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "number = {'x86_64': 250, 'aarch64': 219}[os.uname().machine]\n"
        "print(libc.syscall(number, 0, -4, 1), os.strerror(ctypes.get_errno()))"
    )
    assert (await sandboxed.python(program)).output == b"-1 Function not implemented\n"
    seen = await sandboxed("sh", "-c", "ls /etc/ssl/private /etc/pki/tls/private | wc -l", env={"LC_ALL": "C"})
    assert seen.output.splitlines()[-1] == b"0"


async def test_the_hosts_files_are_not_there(sandboxed: Any, sandboxes: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    hidden = [tmp_path / "secret", sandboxes.root, Path.cwd() / "shared", Path("/root/.bashrc"), Path("/etc/shadow")]
    seen = await sandboxed.python(
        f"import os; print([p for p in {[str(path) for path in hidden]} if os.path.exists(p)])"
    )
    assert seen.output == b"[]\n"
    # Through the overlay's own root, a parent of it, or a process of the host.
    walked = await sandboxed("sh", "-c", "ls -d /../../tmp/* /proc/1/root/tmp/*; ls /proc | grep -c '^[0-9]'; ls /home")
    assert walked.output.splitlines()[-1].isdigit()
    assert int(walked.output.splitlines()[-1]) < 6


async def test_it_has_no_rights(sandboxed: Any) -> None:
    attempts = (
        "mount -t tmpfs none /mnt",
        "unshare -U true",
        "unshare -m true",
        "mknod /dev/sda b 8 0",
        "chroot / true",
    )
    script = "\n".join(f"({attempt}) && echo done: '{attempt}'" for attempt in attempts)
    result = await sandboxed("sh", stdin=script.encode() + b"\ngrep -E 'CapEff|NoNewPrivs' /proc/self/status\n")
    assert b"done" not in result.output
    assert b"CapEff:\t0000000000000000\nNoNewPrivs:\t1\n" in result.output


def of_the_host(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_it_sees_the_hosts_settings_and_cannot_change_them(sandboxed: Any) -> None:
    script = "getent hosts localhost; echo mine >>/etc/hosts; cat /etc/nsswitch.conf; ls /etc/ssl/certs"
    result = await sandboxed("sh", "-c", script)
    assert b"localhost" in result.output
    assert of_the_host("/etc/nsswitch.conf") in result.output
    assert b"mine" not in of_the_host("/etc/hosts")
    assert b"mine" not in (await sandboxed("cat", "/etc/hosts")).output


async def test_it_has_no_descriptor_of_the_engine(sandboxed: Any) -> None:
    # 3 is the directory that is being listed.
    assert (await sandboxed.python("import os; print(os.listdir('/proc/self/fd'))")).output == b"['0', '1', '2', '3']\n"


async def test_it_has_no_terminal(sandboxed: Any) -> None:
    result = await sandboxed("sh", "-c", "echo typed >/dev/tty")
    assert b"/dev/tty" in result.output
    assert result.exit.code != 0


async def test_it_has_no_network(sandboxed: Any, port: int) -> None:
    program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    assert b"ConnectionRefusedError" in (await sandboxed.python(program)).output


async def test_the_network_can_be_allowed(sandboxed: Any, directory: Path, cgroups: Cgroups, port: int) -> None:
    sandboxed.runtime = Bubblewrap(sandboxed.runtime._store, directory, cgroups, network=True)
    assert (await sandboxed.python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")).exit.code == 0


async def test_it_can_talk_to_itself(sandboxed: Any) -> None:
    """Data loaders and torch.distributed do, by the loopback and by shared memory."""
    program = (
        "import multiprocessing as m, socket\n"
        "server = socket.create_server(('localhost', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1]), 2)\n"
        "with m.Pool(2) as pool: print(sum(pool.map(abs, range(-9, 9))))"
    )
    assert (await sandboxed.python(program)).output == b"81\n"


async def test_containers_do_not_see_each_other(sandboxed: Any) -> None:
    script = "ipcmk -M 4096 >/dev/null; touch /tmp/a /dev/shm/a; ipcs -m | grep -c 0x"
    assert (await sandboxed("sh", "-c", script)).output == b"1\n"
    assert (await sandboxed("sh", "-c", "ls /tmp /dev/shm; ipcs -m | grep -c 0x")).output == b"/dev/shm:\n\n/tmp:\n0\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device files")
async def test_gpus_are_those_that_were_given(
    sandboxed: Any, directory: Path, cgroups: Cgroups, tmp_path: Path
) -> None:
    for name in ("nvidia2", "nvidia5", "nvidiactl"):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    gpus = (Gpu(tmp_path / "nvidia2", "GPU-a"), Gpu(tmp_path / "nvidia5", "GPU-b"))
    sandboxed.runtime = Bubblewrap(sandboxed.runtime._store, directory, cgroups, gpus=gpus)
    script = (
        "ls /dev | grep nvidia; echo into a null device >/dev/nvidia5; echo $CUDA_VISIBLE_DEVICES; ls -d /sys/bus/pci"
    )
    given = await sandboxed("sh", "-c", script, limits=Limits(gpus=(1,)))
    assert given.output == b"nvidia5\nnvidiactl\n0\n/sys/bus/pci\n"
    assert (await sandboxed("sh", "-c", "ls /dev | grep nvidia")).output == b""
    assert (await sandboxed("true", limits=Limits(gpus=(2,)))).exit.code == 125
