"""The chain of programs that makes a sandbox runs on the host: nothing that an image decides may reach it."""

import os
import subprocess
from pathlib import Path

import pytest

from shared.images import Image, ImageStore
from shared.sandbox import Sandbox, available, start


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    if reason := available():
        pytest.skip(reason)
    store = ImageStore(tmp_path / "images")
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    image = Image.sealed(layers=(), environment=None, python="/usr/bin/python3", env={})
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LD_PRELOAD": str(tmp_path / "evil.so"), "SECRET": "in no list"}
    return Sandbox(image, store, tmp_path / "upper", tmp_path / "work", env=env)


def test_no_program_of_the_chain_has_the_programs_environment(sandbox: Sandbox, tmp_path: Path) -> None:
    """`mount` from the image's PATH, or a library that it preloads, would run outside the sandbox."""
    evil = tmp_path / "mount"
    evil.write_text(f'#!/bin/sh\ntouch {tmp_path}/escaped\nexec /bin/mount "$@"\n')
    evil.chmod(0o755)
    process = start(sandbox, ["sh", "-c", "read wait; env"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    outside = Path(f"/proc/{process.pid}/environ").read_bytes() + Path(f"/proc/{process.pid}/cmdline").read_bytes()
    said, _ = process.communicate(b"\n", timeout=20)
    assert b"SECRET=in no list" in said
    assert b"SECRET" not in outside
    assert b"LD_PRELOAD" not in outside
    assert not (tmp_path / "escaped").exists()


def test_the_hosts_environment_stays_outside(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    process = start(sandbox, ["env"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said, _ = process.communicate(timeout=20)
    assert {line.partition("=")[0] for line in os.fsdecode(said).splitlines()} == {*sandbox.env, "PWD"}
