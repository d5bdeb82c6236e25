"""What user code may rely on, in every runtime that runs images of the store."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kaos.pachd.runtimes.container import Limits

EVERY = pytest.mark.parametrize("runner", ["sandboxed", "unlimited", "plain"], indirect=True)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[tuple[str, Path], ...]:
    """Data in a directory below its name, and a single file, as a datum has them."""
    data = tmp_path / "checkout"
    data.mkdir()
    (data / "x.csv").write_text("1,2")
    (tmp_path / "blob").write_text('{"rate": 0.5}')
    return (("data/mnist:9fd9d03", data), ("hyper/ab12.json", tmp_path / "blob"))


@pytest.mark.parametrize("runner", ["sandboxed", "unlimited"], indirect=True)
async def test_a_bundle_of_the_original_kaos_runs_unchanged(runner: Any, inputs: Any) -> None:
    script = b'set -e\nout=/pfs/out/$(printf %.6s "$PACH_DATUM_ID")\nmkdir -p "$out"\nexec ./train "$out"\n'
    result = await runner("sh", stdin=script, inputs=inputs, env={"PACH_DATUM_ID": "0123456789"})
    assert (result.exit.code, result.exit.reason) == (0, ""), result
    assert result.output == b"trained on mnist:9fd9d03\n"
    assert (result.out / "012345" / "model").read_text() == "0.5 1,2"


@EVERY
async def test_words_stdin_and_environment_may_name_pfs(runner: Any, inputs: Any) -> None:
    result = await runner(
        "sh",
        "-c",
        'cat "$1" "$data"/x.csv > /pfs/out/copy; exec sh',
        "sh",
        "/pfs/hyper/ab12.json",
        stdin=b"cat </pfs/data/mnist:9fd9d03/x.csv; echo /opt/pfs /pfsx\n",
        inputs=inputs,
        env={"data": "/pfs/data/mnist:9fd9d03"},
    )
    assert result.exit.code == 0, result
    assert result.output == b"1,2/opt/pfs /pfsx\n"
    assert (result.out / "copy").read_text() == '{"rate": 0.5}1,2'


@EVERY
async def test_the_environment_is_the_images_and_the_containers_and_nothing_of_the_hosts(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("PACHD_TOKEN", "hush")
    result = await runner.python(
        "import os, json; print(json.dumps(dict(os.environ)))", env={"PACH_JOB_ID": "j", "TEXT": "a b\n$x"}
    )
    seen = json.loads(result.output)
    # A shell in the chain, or the interpreter itself, sets the last three.
    assert seen.keys() - {"PWD", "LC_CTYPE", "OLDPWD"} == {
        *("PATH", "LANG", "LIBRARY", "PACH_JOB_ID", "TEXT", "CUDA_VISIBLE_DEVICES"),
        *(("HOME",) if runner.runtime.name == "plain" else ()),
    }
    assert (seen["PACH_JOB_ID"], seen["TEXT"], seen["CUDA_VISIBLE_DEVICES"]) == ("j", "a b\n$x", "")


@EVERY
async def test_an_empty_command_and_workdir_are_the_images(runner: Any) -> None:
    assert (await runner()).output == b"of the image\n"
    assert (await runner("sh", "-c", "ls")).output == b"train\n"
    assert (await runner("sh", "-c", "cd / && ls -d opt", workdir="/opt")).output == b"opt\n"


@EVERY
@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("exit 0", 0, ""),
        ("exit 3", 3, "exit code 3"),
        ("kill -SEGV $$", 139, "killed by signal 11 (SIGSEGV)"),
        ("kill -9 $$", 137, "killed by signal 9 (SIGKILL)"),
        ("exit 255", 255, "exit code 255"),
    ],
)
async def test_how_it_ended(runner: Any, script: str, code: int, reason: str) -> None:
    result = await runner("sh", "-c", script)
    assert (result.exit.code, result.exit.reason) == (code, reason)


@pytest.mark.usefixtures("needs_limits")
@pytest.mark.parametrize("runner", ["sandboxed", "plain"], indirect=True)
async def test_costs_are_those_of_the_whole_tree(runner: Any) -> None:
    busy = "x = bytearray(60_000_000); import time\nwhile time.process_time() < 0.3: pass"
    result = await runner("sh", "-c", f"python3 -c '{busy}'; exit 0")
    assert 0.3 <= result.exit.cpu_seconds < 3
    assert 60_000_000 < result.exit.peak < 300_000_000


async def test_costs_are_unknown_without_cgroups(unlimited: Any) -> None:
    ended = (await unlimited("true")).exit
    assert (ended.cpu_seconds, ended.peak) == (None, None)


@EVERY
async def test_stdin_may_be_large_and_need_not_be_read(runner: Any) -> None:
    stdin = os.urandom(1_000_000)
    counted = await runner.python("import sys; print(len(sys.stdin.buffer.read()))", stdin=stdin)
    assert counted.output == b"1000000\n"
    assert (await runner("true", stdin=stdin)).exit.code == 0


@EVERY
async def test_output_is_passed_on_byte_for_byte_and_in_order(runner: Any) -> None:
    result = await runner.python(
        "import os, random\nrandom.seed(1)\n"
        "for n in range(400): os.write(1 + n % 2, random.randbytes(random.randrange(1000)))"
    )
    expected = await runner.python(
        "import os, random\nrandom.seed(1)\n"
        "os.write(1, b''.join(random.randbytes(random.randrange(1000)) for n in range(400)))"
    )
    assert len(result.output) > 100_000
    assert result.output == expected.output


@EVERY
async def test_a_program_that_closes_its_output_is_waited_for(runner: Any) -> None:
    program = "import os, time; os.close(1); os.close(2); time.sleep(0.2); open('/pfs/out/x', 'w'); os._exit(5)"
    result = await runner.python(program)
    assert result.exit.reason == "exit code 5"
    assert (result.out / "x").exists()


@EVERY
async def test_what_cannot_be_started_says_why(runner: Any) -> None:
    for given in ({"cmd": ("./nothing-here",)}, {"cmd": ("true",), "workdir": "/no/such"}):
        ended = await runner.runtime.run(runner.container(**given), runner.heard.extend)
        assert ended.code in (125, 127)
        assert ended.reason
    assert b"No such file" in runner.heard or "No such file" in ended.reason
    nul = await runner("true", env={"A": "x\0--bind\0/\0/host"})
    assert nul.exit.code == 125
    assert nul.exit.reason.startswith("could not be started: ")


@EVERY
async def test_an_unknown_image_is_a_lookup_error(runner: Any) -> None:
    with pytest.raises(LookupError, match="There is no image 'x@sha256:00'"):
        await runner("true", image="x@sha256:00")


@EVERY
async def test_nothing_is_left_on_the_disk(runner: Any, directory: Path) -> None:
    deep = "import os\nos.mkdir('closed', 0)\nfor n in range(1500):\n  os.mkdir('d'); os.chdir('d')"
    await runner.python(deep)
    await runner("sh", "-c", "exit 1")
    await runner("true", limits=Limits(seconds=0.01))
    assert not list(directory.iterdir())  # noqa: ASYNC240


@pytest.mark.parametrize("name", ["../x", "/etc", "a/../../b", "", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(plain: Any, name: str) -> None:
    with pytest.raises(ValueError, match="can't be the name of a place"):
        plain.container("true", inputs=((name, Path("/tmp")),))
