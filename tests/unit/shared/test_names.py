"""Names that people give us: what is accepted, and what is refused with a code."""

import pytest

from shared.errors import Reject
from shared.names import InboxKey, bundle_name, inbox_key, strip_suffix, submission_key, workspace_name

RUN = "01jd0000000000000000000000"


@pytest.mark.parametrize("name", ["mnist", "a", "0x", "team-a", "a" * 40])
def test_a_workspace_is_named(name: str) -> None:
    assert workspace_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a.b", "a*", "a>b", "a b", "a\r\nb", "a\n", "a" * 41, "ä", "../a"])
def test_a_workspace_is_refused(name: str) -> None:
    with pytest.raises(Reject) as refused:
        workspace_name(name)
    assert refused.value.code == "workspace.name"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a:b", "a*b", "a@b", "a\0", "a\n"])
def test_a_bundle_is_refused(name: str) -> None:
    with pytest.raises(Reject) as refused:
        bundle_name(name)
    assert refused.value.code == "bundle.name"


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("mnist.zip", "mnist"),
        ("mnist.TAR.GZ", "mnist"),
        ("mnist.tar.zst", "mnist"),
        ("mnist.v2.tar", "mnist.v2"),
        ("mnist", "mnist"),
        (".zip", ".zip"),
    ],
)
def test_the_ending_of_the_archive_is_not_part_of_the_name(filename: str, name: str) -> None:
    assert strip_suffix(filename) == name


def test_an_inbox_key_names_workspace_kind_and_bundle() -> None:
    assert inbox_key("mnist/source/mnist.zip") == InboxKey("mnist", "source", "mnist")


def test_a_submission_s_key_names_its_run_too() -> None:
    assert inbox_key(submission_key("mnist", "data", RUN, "d.tar.gz")) == InboxKey("mnist", "data", "d", RUN)


@pytest.mark.parametrize(
    "key",
    [
        "mnist",
        "mnist/model/a.zip",
        "mnist/source/",
        "mnist/source//a.zip",
        "mnist/source/a/b.zip",
        "/source/a",
        f"mnist/source/{RUN}/",
        f"mnist/source/{RUN}/a/b.zip",
        f"mnist/source/{RUN}/{RUN}/b.zip",
        f"mnist/source/{RUN.upper()}/b.zip",
        f"mnist/source/{RUN}0/b.zip",
        f"mnist/source/{RUN[:-1]}\n/b.zip",
    ],
)
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(Reject):
        inbox_key(key)
