"""`pip install` takes packages of the index, and nothing from elsewhere."""

import pytest

from functions.build.builder.requirements import Request, check_file, parse
from shared.errors import Reject

FILES = {
    "/r.txt": (
        "numpy==1.0 \\\n    --hash=sha256:ab\n# a comment\n-r more/x.txt\n-c limits.txt\n"
        "scipy ; python_version<'4' # why\n"
    ),
    "/more/x.txt": "-rdeep.txt\n",
    "/more/deep.txt": "joblib\n",
    "/limits.txt": "joblib<2\n",
    "/circle.txt": "-r circle.txt\n",
    "/bad.txt": "numpy\n\n--index-url https://x.example\n",
}


def read(path: str) -> str:
    if path not in FILES:
        raise Reject("build.run-failed", f"no {path}")
    return FILES[path]


def test_files_that_name_files_are_read_as_one() -> None:
    found = parse(["-r", "/r.txt", "greeting"], read)
    assert [" ".join(line.split()) for line in found.requirements] == [
        *("numpy==1.0 --hash=sha256:ab", "joblib", "scipy ; python_version<'4'", "greeting")
    ]
    assert found.constraints == ("joblib<2",)


def test_options_become_those_of_uv_or_nothing() -> None:
    argv = ["-q", "--no-cache-dir", "-U", "--pre", "--timeout", "5", "--no-binary=x", "a", "--retries=3"]
    assert parse(argv, read) == Request(
        ("a",), options=("--no-binary=x", "--prerelease=allow", "--upgrade"), builds=True
    )


def test_pip_itself_is_not_installed() -> None:
    assert parse(["--upgrade", "pip", "pip>=20", "pip-tools"], read).requirements == ("pip-tools",)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--index-url", "https://x.example", "a"], "--index-url takes packages from another package index"),
        (["--extra-index-url=https://x.example", "a"], "another package index"),
        (["-ihttps://x.example", "a"], "another package index"),
        (["-f", "/x", "a"], "another place for packages"),
        (["-e", "."], "a folder or a repository"),
        (["git+https://x.example/y"], "fetched from a repository"),
        (["a @ git+ssh://x/y"], "fetched from a repository"),
        (["a @ file:///etc/passwd"], "fetched from a URL"),
        (["a@https://x.example/a.whl"], "fetched from a URL"),
        (["https://x.example/a.whl"], "fetched from a URL"),
        (["./here"], "a file or a folder"),
        (["."], "a file or a folder"),
        (["a-1.0-py3-none-any.whl"], "a file or a folder"),
        (["-r", "https://x.example/r.txt"], "fetched from a URL"),
        (["-r", "/bad.txt"], "/bad.txt:3: --index-url"),
        (["--target", "/x", "a"], "option '--target' of pip is not supported"),
    ],
)
def test_what_comes_from_elsewhere_is_refused(argv: list[str], said: str) -> None:
    with pytest.raises(Reject, match=said) as reason:
        parse(argv, read)
    assert reason.value.code == "build.policy"


def test_a_circle_of_files_ends() -> None:
    assert parse(["-r", "/circle.txt"], read).requirements == ()


def test_an_option_without_its_value_says_so() -> None:
    with pytest.raises(Reject, match="-r needs a value"):
        parse(["-r"], read)


@pytest.mark.parametrize(
    "line", ["numpy", "numpy==1.0", "a[b,c]>=1,<2 ; python_version < '3.8'", "A.b_c~=1.0", "-r x.txt"]
)
def test_a_requirement_of_the_index_passes(line: str) -> None:
    check_file(f"\ufeff{line}\n", "requirements.txt")
