"""What a build leaves: an image in which the user's script runs as it would in a container."""

import re
import resource
import subprocess
import sys
from typing import Any

import pytest


def cpu_seconds() -> float:
    """What this process and its children have used so far: unlike wall time, it doesn't grow with others' load."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def test_a_bundle_of_the_original_kaos_builds_and_runs(builder: Any) -> None:
    result = builder.build()
    assert result.status == 0, result
    assert result.report["workdir"] == "/opt/program"
    assert builder.run(result, "./train").stdout == "trained with 1.0\n"
    assert builder.run(result, "greet").stdout == "hello from 1.0\n"
    assert "step 6/6 RUN if" in result.log


def test_the_report_names_the_bundle_and_its_python(builder: Any) -> None:
    builder.bundle = builder.bundle.rename(builder.bundle.with_name("mnist:e23a2f1"))
    report = builder.build().report
    assert report["source"] == "mnist:e23a2f1"
    assert report["ref"] == f"mnist@sha256:{report['digest']}"
    assert report["python"]["asked"] == "3.11"
    assert report["python"]["used"].startswith("3.11.")


def test_an_unchanged_bundle_is_not_built_again(builder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = builder.build()
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing is started: neither uv nor a sandbox
    second = builder.build()
    assert second.status == 0, second
    assert second.report["ref"] == first.report["ref"]
    assert all(layer["cached"] for layer in second.report["layers"] if layer["id"])
    assert "step 4/6 RUN chmod +x train (cached)" in second.log
    last = second.log.splitlines()[-1]
    assert re.fullmatch(rf"built {re.escape(second.report['ref'])} in 0\.\d\d s: 4 of 4 steps cached", last)


def test_a_whole_unchanged_build_takes_well_under_a_quarter_second(builder: Any) -> None:
    """The program that a job starts, its interpreter's start included."""
    builder.build()
    before = cpu_seconds()
    program = [sys.executable, "-m", "functions.build.builder", str(builder.bundle), str(builder.out)]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    assert cpu_seconds() - before < 0.25


def test_a_script_is_executable_without_a_chmod(builder: Any) -> None:
    (builder.bundle / "model" / "train").chmod(0o644)
    builder.dockerfile(
        "FROM python:3.11\nWORKDIR /opt/program\nCOPY . /opt/program/\nRUN pip3 install -r requirements.txt\n"
    )
    assert builder.run(builder.build(), "./train").stdout == "trained with 1.0\n"


def test_a_changed_script_reuses_the_environment(builder: Any) -> None:
    first = builder.build()
    (builder.bundle / "model" / "train").write_text("#!/bin/sh\ngreet\n")
    before = cpu_seconds()
    second = builder.build()
    assert cpu_seconds() - before < 0.5
    assert second.report["digest"] != first.report["digest"]
    assert second.report["environment"] == first.report["environment"]
    assert "Uses the Python environment" in second.log
    assert second.log.endswith("1 of 4 steps cached\n")
    assert builder.run(second, "./train").stdout == "hello from 1.0\n"


def test_changed_requirements_make_another_environment(builder: Any) -> None:
    first = builder.build()
    (builder.bundle / "model" / "requirements.txt").write_text("greeting\n")
    second = builder.build()
    assert second.report["environment"] != first.report["environment"]
    assert builder.run(second, "./train").stdout == "trained with 2.0\n"
    assert builder.run(first, "./train").stdout == "trained with 1.0\n"


def test_a_bundle_may_lie_below_its_pachyderm_and_root_folders(builder: Any) -> None:
    nested = builder.bundle.parent / "input" / "mnist:abc1234" / "mnist"
    nested.parent.mkdir(parents=True)
    nested.symlink_to(builder.bundle)
    builder.bundle = builder.bundle.parent / "input"
    result = builder.build()
    assert result.report["ref"].startswith("mnist@sha256:")


def test_instructions_mean_what_they_mean_in_docker(builder: Any) -> None:
    (builder.bundle / "model" / "data").mkdir()
    (builder.bundle / "model" / "data" / "a.csv").write_text("a")
    (builder.bundle / "model" / "data" / "b.csv").write_text("b")
    (builder.bundle / "model" / "secret.key").write_text("s")
    (builder.bundle / "model" / ".dockerignore").write_text("*.key\n")
    builder.dockerfile(
        "ARG VERSION=3.11\nFROM python:${VERSION}-slim AS base\n"
        "ARG place=/srv\nENV WHERE=$place/app NAME='$place'\nWORKDIR $WHERE\nWORKDIR deeper\n"
        'COPY ["data/*.csv", "./"]\nCOPY --chmod=600 train ../run\nADD data /data\nLABEL a=b\nEXPOSE 80\n'
        'SHELL ["/bin/sh", "-ec"]\nRUN rm a.csv && \\\n    # a comment\n\n    echo "$place $NAME" > said\n'
        'RUN ["sh", "-c", "ln -s /srv/app/deeper /link"]\nCOPY train /link/\nENTRYPOINT ["./run"]\nCMD x\n'
    )
    result = builder.build()
    assert result.status == 0, result
    listed = builder.run(result, "sh", "-c", "pwd; ls; cat said; ls /data; stat -c %a ../run; test -L /link")
    assert listed.stdout.split() == [
        *("/srv/app/deeper", "b.csv", "said", "train", "/srv", "$place", "a.csv", "b.csv", "600")
    ]
    assert listed.returncode == 0
    assert result.report["cmd"] == ["./run", "/bin/sh", "-ec", "x"]
    assert builder.image(result).env["WHERE"] == "/srv/app"


def test_pip_answers_for_what_is_installed(builder: Any) -> None:
    builder.dockerfile(
        "FROM python:3.11\nCOPY requirements.txt /tmp/\n"
        "RUN pip install --upgrade pip && pip install -q -r /tmp/requirements.txt\n"
        "RUN python -m pip install 'greeting>=2' && python -c 'import greeting; assert greeting.VERSION == \"2.0\"'\n"
        "RUN pip freeze && pip show greeting && pip --version && /usr/local/bin/python3 -c 'import greeting'\n"
    )
    result = builder.build()
    assert result.status == 0, result
    assert "greeting==2.0" in result.log
    assert "Version: 2.0" in result.log


@pytest.mark.parametrize("version", ["3.7", "3.12"])
def test_other_interpreters_of_the_machine(builder: Any, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("KAOS_BUILD_STRICT_PYTHON", "1")
    builder.dockerfile(f"FROM python:{version}\nRUN pip install greeting\nRUN python -V\n")
    result = builder.build()
    if result.error.get("code") == "build.no-interpreter":
        pytest.skip(f"no Python {version} on this machine")
    assert result.status == 0, result
    assert f"Python {version}." in result.log
    assert builder.run(result, "greet").stdout == "hello from 2.0\n"


def test_a_missing_python_is_stood_in_for_by_the_nearest_newer_one_and_the_build_says_so(
    builder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.dockerfile("FROM python:3.5-slim\nRUN pip install greeting\n")
    result = builder.build()
    used = result.report["python"]["used"]
    assert result.report["python"]["asked"] == "3.5"
    assert f"WARNING: python:3.5 is not on this machine: building with Python {used}\n" in result.log
    assert builder.run(result, "greet").stdout == "hello from 2.0\n"

    builder.dockerfile("FROM python:3.5-slim\nRUN pip install nonesuch\n")
    assert (
        f"(Note: python:3.5 is not on this machine: building with Python {used}.)" in builder.build().error["message"]
    )

    monkeypatch.setenv("KAOS_BUILD_STRICT_PYTHON", "1")
    refused = builder.build().error
    assert refused["code"] == "build.no-interpreter"
    assert "uv python install 3.5" in refused["message"]


def test_programs_of_packages_run_wherever_the_environment_is_shown(builder: Any) -> None:
    """A machine without a sandbox shows it at another place than a container does."""
    result = builder.build()
    greet = builder.store.environment(result.report["environment"]) / "bin" / "greet"
    assert subprocess.run([greet], capture_output=True, text=True, check=True).stdout == "hello from 1.0\n"
