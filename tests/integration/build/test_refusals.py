"""What can't be built says so: a stable code, the line, the reason, the way out; and hostile bundles change nothing."""

from pathlib import Path
from typing import Any

import pytest

START = "FROM python:3.11\n"


@pytest.mark.parametrize(
    ("dockerfile", "code", "said"),
    [
        ("FROM ubuntu:22.04\n", "build.policy", "line 1: FROM ubuntu:22.04"),
        ("FROM https://example.com/image\n", "build.policy", "line 1"),
        ("FROM python:3.11-alpine\n", "build.policy", "python:X.Y-slim"),
        ("FROM python:3.99\n", "build.no-interpreter", "it has 3."),
        (START + "FROM python:3.11\n", "build.policy", "line 2: a second FROM"),
        (START + "RUN true\nADD https://example.com/x /x\n", "build.policy", "line 3: ADD of a URL"),
        (START + "COPY --from=other /x /x\n", "build.policy", "line 2: COPY --from"),
        (START + "COPY train /usr/bin/\n", "build.policy", "line 2: /usr/bin/train belongs to this machine"),
        (START + "COPY train /.kaos/shim/bin/pip\n", "build.policy", "line 2"),
        (START + "COPY missing /x\n", "build.dockerfile", "line 2: there is no 'missing'"),
        (START + "COPY ../Dockerfile /x\n", "build.dockerfile", "leads out of the build context"),
        (START + "RUN <<EOF\ntrue\nEOF\n", "build.policy", "here-document"),
        (START + "RUN true\nCOPPY a b\n", "build.dockerfile", "line 3: there is no instruction 'COPPY'"),
        (START + "RUN\n", "build.dockerfile", "line 2"),
        (START + "RUN apt-get update && apt-get install -y gcc\n", "build.policy", "--runtime podman"),
        (START + "RUN echo before; exit 3\n", "build.run-failed", "ended with exit status 3: before"),
        (START + "RUN pip install --index-url https://example.com/simple greeting\n", "build.policy", "line 2"),
        (START + "RUN pip install git+https://example.com/x.git\n", "build.policy", "repository"),
        (START + "RUN pip install nonesuch-package\n", "build.requirement-unknown", "'nonesuch-package'"),
        (START + "RUN pip install greeting==7.0\n", "build.requirement-unknown", "greeting==7.0"),
        (START + "RUN pip uninstall -y greeting\n", "build.policy", "pip uninstall"),
        (START + "RUN apt-get update\n", "build.policy", "line 2: RUN apt-get update: apt-get changes the system"),
        (START + "RUN echo 'greeting=1' > r; pip install -r r\n", "build.requirement-invalid", 'operator "="'),
        (START + "RUN pip install greeting==1.0 greeting==2.0\n", "build.requirement-conflict", "contradict"),
        (START + "RUN pip install -r missing.txt\n", "build.run-failed", "'missing.txt'"),
    ],
)
def test_a_dockerfile_that_is_not_followed(builder: Any, dockerfile: str, code: str, said: str) -> None:
    builder.dockerfile(dockerfile)
    result = builder.build()
    assert result.status == 1
    assert result.error["code"] == code, result.error
    assert said in result.error["message"]


@pytest.mark.parametrize(
    "line", ["--extra-index-url https://x.example", "-e .", "pkg @ file:///etc/passwd", "git+ssh://x/y", "./here"]
)
def test_requirements_from_elsewhere_are_refused_before_anything_runs(builder: Any, line: str) -> None:
    (builder.bundle / "model" / "requirements.txt").write_text(f"# first\n{line}\n")
    result = builder.build()
    assert result.error["code"] == "build.policy"
    assert result.error["message"].startswith("model/requirements.txt:2: ")
    assert "step" not in result.log


def test_a_build_of_a_source_distribution_reaches_neither_cache_nor_environments(builder: Any) -> None:
    assert builder.build().status == 0  # greeting is in the cache and in an environment
    builder.dockerfile(START + "RUN pip install greeting\nRUN pip install hostile\n")
    result = builder.build()
    assert result.status == 0, result
    assert "building it from source" in result.log, result.log
    assert builder.run(result, "python", "-c", "import hostile; print(hostile.WORD)").stdout == "built\n"
    root = builder.store.root
    assert not list(root.glob("layers/**/poison"))
    assert not list(root.glob("environments/*/poison"))
    assert not [path for path in root.glob("**/greeting.py") if path.read_text() == "poisoned"]
    assert not Path("/usr/bin/poison").exists()


def test_a_run_sees_nothing_of_the_host_and_writes_nothing(builder: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.write_text("host")
    builder.dockerfile(
        START + "RUN for place in /usr/bin /usr/share /.kaos/python/current /.kaos/environments; do "
        "if touch $place/mine 2>/dev/null; then echo wrote $place; exit 1; fi; done\n"
        f"RUN test ! -e {marker} && test ! -e {builder.store.root}\n"
        "RUN ! kill -0 2 2>/dev/null || test $(ls /proc | grep -c '^[0-9]') -lt 10\n"
        "RUN cp /usr/bin/true /opt/root && chmod 4755 /opt/root; test -f /opt/root\n"
    )
    result = builder.build()
    assert result.status == 0, result
    assert not [path for path in builder.store.root.glob("layers/*/root/opt/root") if path.stat().st_mode & 0o6000]


def test_what_is_installed_can_be_changed_neither_by_a_run_nor_by_a_job(builder: Any) -> None:
    """Its files are hard links into uv's cache, and into every other environment that holds the package."""
    spoil = "echo broken >> $(python -c 'import greeting; print(greeting.__file__)')"
    builder.dockerfile(START + f"RUN pip install greeting\nRUN ! ({spoil}) && ! rm -rf /.kaos/environments/*/lib\n")
    result = builder.build()
    assert result.status == 0, result
    assert builder.run(result, "sh", "-c", spoil).returncode != 0
    assert builder.run(result, "greet").stdout == "hello from 2.0\n"


def test_a_failed_build_leaves_no_draft(builder: Any) -> None:
    builder.dockerfile(START + "RUN echo half > /half; false\n")
    assert builder.build().error["code"] == "build.run-failed"
    assert not list((builder.store.root / "scratch").iterdir())


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("Dockerfile", "build.no-dockerfile"),
        ("model/requirements.txt", "build.no-requirements"),
        ("model/train", "build.no-train"),
    ],
)
def test_a_bundle_that_lacks_a_file(builder: Any, missing: str, code: str) -> None:
    (builder.bundle / missing).unlink()
    result = builder.build()
    assert (result.status, result.error["code"]) == (1, code)
    assert missing.rpartition("/")[2] in result.error["message"]


def test_what_nobody_foresaw_ends_in_a_sentence_too(builder: Any) -> None:
    builder.out.write_text("a file where the output folder should be")
    result = builder.build()
    assert (result.status, result.error["code"]) == (1, "build.fault")
    assert "Traceback" not in result.log


def test_without_a_sandbox_nothing_is_run(builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KAOS_IMAGES", str(tmp_path / "images"))
    error = builder.build().error
    assert error["code"] == "build.no-sandbox"
    assert "apt-get install bubblewrap" in error["message"]
