"""A machine without a sandbox: the same image from the same bundle, and no RUN that could touch the machine."""

from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes import scratch
from kaos.pachd.runtimes.cgroups import Cgroups
from kaos.pachd.runtimes.container import Container
from kaos.pachd.runtimes.plain import Plain
from shared.images import ImageStore

START = "FROM python:3.11\nWORKDIR /opt/program\nCOPY . .\n"


@pytest.fixture
def plain(builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A builder without a sandbox, with a store of its own."""
    builder.store = ImageStore(tmp_path / "images")
    monkeypatch.setenv("KAOS_IMAGES", str(builder.store.root))
    monkeypatch.setenv("KAOS_BUILD_PLAIN", "1")
    return builder


def test_a_bundle_of_the_original_kaos_becomes_the_same_image(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = plain.build()
    assert result.status == 0, result
    assert plain.run(result, "./train").stdout == "trained with 1.0\n"  # in a sandbox, to see the image as a job would
    monkeypatch.setenv("KAOS_BUILD_PLAIN", "0")
    monkeypatch.setenv("KAOS_IMAGES", str(plain.store.root.with_name("others")))
    assert plain.build().report["digest"] == result.report["digest"]


@pytest.mark.parametrize("sandboxed", [True, False])
async def test_programs_of_packages_run_as_they_do_in_a_sandbox(
    plain: Any, sandboxed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That of a wheel, and what a source distribution brings as a script; in an environment of either builder."""
    monkeypatch.setenv("KAOS_BUILD_PLAIN", "0" if sandboxed else "1")
    plain.dockerfile(START + "RUN pip install greeting==1.0 homemade\n")
    result = plain.build()
    assert result.status == 0, result
    script = ("sh", "-c", "greet; homemade; command -v greet")
    inside = plain.run(result, *script).stdout.splitlines()
    scratch.sweep(tmp_path / "containers")
    (tmp_path / "job").mkdir()
    container = Container("job", result.report["ref"], script, (), tmp_path / "job")
    said = bytearray()
    await Plain(plain.store, tmp_path / "containers", Cgroups("", ())).run(container, said.extend)
    outside = said.decode().splitlines()
    assert inside[:2] == outside[:2] == ["hello from 1.0", "built"]
    assert outside[2] == str(plain.store.environment(result.report["environment"]) / "bin" / "greet")


def test_a_source_distribution_is_built(plain: Any) -> None:
    plain.dockerfile(START + "RUN python -m pip install homemade && mkdir -p cache/x && chmod 700 train\n")
    result = plain.build()
    assert result.status == 0, result
    listed = plain.run(
        result, "sh", "-c", "python -c 'import homemade; print(homemade.WORD)'; stat -c %a train; ls cache"
    )
    assert listed.stdout.split() == ["built", "700", "x"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("rm -rf /root/.cache", "build.no-sandbox"),
        ("touch MARKER", "build.no-sandbox"),
        ("echo a > MARKER", "build.no-sandbox"),
        ("echo $(touch MARKER)", "build.no-sandbox"),
        ('echo "$(touch MARKER)"', "build.no-sandbox"),
        ("echo `touch MARKER`", "build.no-sandbox"),
        ("true | touch MARKER", "build.no-sandbox"),
        ("true & touch MARKER", "build.no-sandbox"),
        ("if [ -f train ]; then touch MARKER; fi", "build.no-sandbox"),
        ("if touch MARKER; then true; fi", "build.no-sandbox"),
        ("chmod +x /bin/sh", "build.run-failed"),
        ("chmod +x ../../../bin/sh", "build.run-failed"),
        ("mkdir -p /usr/bin/x", "build.run-failed"),
        ("pip install -r /etc/shadow", "build.run-failed"),
        ("pip install --index-url https://x.example a", "build.policy"),
        ("apt-get install -y gcc", "build.policy"),
        ("pip install nonesuch", "build.requirement-unknown"),
    ],
)
def test_what_would_run_on_the_machine_is_refused_with_its_line(
    plain: Any, tmp_path: Path, command: str, code: str
) -> None:
    marker = tmp_path / "marker"
    plain.dockerfile(START + f"RUN {command.replace('MARKER', str(marker))}\n")
    error = plain.build().error
    assert error["code"] == code, error
    assert error["message"].startswith("Dockerfile line 4: RUN ")
    assert not marker.exists()


def test_conditions_are_about_the_image(plain: Any) -> None:
    plain.dockerfile(START + "RUN if [ -e none ]; then apt-get update; fi; echo $HOME done\n")
    result = plain.build()
    assert result.status == 0, result
    assert "/root done" in result.log
