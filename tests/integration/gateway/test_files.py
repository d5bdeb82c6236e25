"""Downloads: Pachyderm's tars under the names that people know, whole or visibly broken."""

import io
import tarfile
from typing import Any

import pytest
import urllib3

RUN = "01jd0000000000000000000000"
PATH = f"/v1/workspaces/mnist/runs/{RUN}/files"


def packed(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}  # type: ignore[union-attr]


def pieces(archive: bytes) -> list[bytes]:
    return [archive[start : start + 1000] for start in range(0, len(archive), 1000)]


TRIALS = [{"id": "cebf65", "model": "e23a2f1_9fd9d03:cebf65"}, {"id": "aaaaaa", "model": "e23a2f1_9fd9d03:aaaaaa"}]


async def test_code_that_the_run_brought(api: Any, tree: Any) -> None:
    await api.a_run(parts={"source": {"kind": "source", "commit": "c1", "bundle": "mnist:e23a2f1"}})
    tree.tars["source", "c1", "/"] = pieces(packed(**{"/mnist:e23a2f1/model/train": b"#!" * 5000}))
    status, archive = await api.bytes(f"{PATH}/code")
    assert (status, unpacked(archive)) == (200, {"mnist/model/train": b"#!" * 5000})


async def test_data_that_the_training_used_is_found_by_its_lineage(api: Any, tree: Any) -> None:
    await api.a_run(state="succeeded", train={"job": "j", "pipeline": "train-1"})
    tree.provenance["train-1", "j"] = [("build", "b"), ("params", "p"), ("data", "d")]
    tree.provenance["build", "b"] = [("source", "s")]
    tree.provenance["params", "p"] = []
    tree.tars["data", "d", "/"] = [packed(**{"/d:1234567/x": b"1"})]
    tree.tars["source", "s", "/"] = [packed(**{"/m:1234567/y": b"2"})]
    assert unpacked((await api.bytes(f"{PATH}/data"))[1]) == {"d/x": b"1"}
    assert unpacked((await api.bytes(f"{PATH}/code"))[1]) == {"m/y": b"2"}


async def test_data_that_was_fetched_is_found_too(api: Any, tree: Any) -> None:
    manifest = {"manifest": {"kind": "manifest", "commit": "m", "bundle": "data:1234567"}}
    await api.a_run(state="succeeded", parts=manifest, train={"job": "j", "pipeline": "train-1"})
    tree.provenance["train-1", "j"] = [("fetch-data-3a6eb07", "f"), ("params", "p")]
    tree.provenance |= {("fetch-data-3a6eb07", "f"): [("manifest", "m")], ("params", "p"): [], ("manifest", "m"): []}
    tree.tars["fetch-data-3a6eb07", "f", "/"] = [packed(**{"/data/x": b"1"})]
    assert unpacked((await api.bytes(f"{PATH}/data"))[1]) == {"data/x": b"1"}


async def test_models_are_named_by_their_ids(api: Any, tree: Any) -> None:
    await api.a_run(state="succeeded", train={"job": "j", "pipeline": "train-1"}, trials=TRIALS)
    both = packed(**{"/cebf65/model/net": b"1", "/aaaaaa/model/net": b"2"})
    tree.tars["train-1", "j", "/"] = [both]
    tree.tars["train-1", "j", "/cebf65"] = [packed(**{"/cebf65/model/net": b"1"})]
    archive = (await api.bytes(f"{PATH}/model"))[1]
    assert set(unpacked(archive)) == {"e23a2f1_9fd9d03:cebf65/model/net", "e23a2f1_9fd9d03:aaaaaa/model/net"}
    for trial in ("cebf65", "e23a2f1_9fd9d03:cebf65"):
        archive = (await api.bytes(f"{PATH}/model?trial={trial}"))[1]
        assert unpacked(archive) == {"e23a2f1_9fd9d03:cebf65/model/net": b"1"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("code", "files.none"),
        ("model", "model.none"),
        ("model?trial=x", "trial.unknown"),
        ("code?trial=", "files.none"),
    ],
)
async def test_what_there_is_not_yet_is_a_404(api: Any, path: str, code: str) -> None:
    await api.a_run(state="building")
    status, answer = await api.ask("GET", f"{PATH}/{path}")
    assert (status, answer["error"]["code"]) == (404, code)


async def test_what_pachyderm_has_lost_is_a_404(api: Any) -> None:
    await api.a_run(parts={"source": {"kind": "source", "commit": "gone"}})
    status, answer = await api.ask("GET", f"{PATH}/code")
    assert (status, answer["error"]["code"]) == (404, "files.unknown")


async def test_a_download_that_breaks_off_is_not_taken_for_whole(api: Any, tree: Any) -> None:
    await api.a_run(parts={"source": {"kind": "source", "commit": "c1"}})
    archive = packed(**{"/m:1234567/big": bytes(2**20)})
    tree.tars["source", "c1", "/"] = pieces(archive[: 3 * 2**18])
    tree.breaks = True
    with pytest.raises(urllib3.exceptions.ProtocolError):
        await api.bytes(f"{PATH}/code")
