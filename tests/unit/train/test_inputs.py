"""What a run is resolved to, and what of it Pachyderm is asked for: it must not grow with the number of runs."""

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from functions.train.inputs import Input, Inputs, resolve
from shared.runs import Part, Run

IMAGE = {"ref": "mnist@sha256:1", "digest": "1" * 64, "source": "mnist:e23a2f1"}
HEADS = {"build": "b" * 32, "params": "e" * 32}


class _Client:
    """A Pachyderm in which every training has left a child of params@none: nobody may ask for its CommitInfo."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def inspect_branch(self, repo: str, branch: str, **_: object) -> Any:
        self.asked.append(f"head of {repo}@{branch}")
        return SimpleNamespace(head=SimpleNamespace(id=HEADS[repo]))

    def get_file(self, commit: Any, path: str) -> Any:
        self.asked.append(f"{commit.repo.name}@{commit.id}:{path}")
        return io.BytesIO(json.dumps(IMAGE).encode())

    def inspect_file(self, commit: Any, path: str) -> Any:
        self.asked.append(f"{commit.repo.name}@{commit.id}:{path}")
        return SimpleNamespace(hash=commit.id.encode())


def data_run(commit: str) -> Run:
    part = Part(kind="data", commit=commit, bundle="features:9fd9d03")
    return Run(workspace="mnist", id="r", created=datetime.now(UTC), expected=("data",), parts={"data": part})


def test_a_run_of_data_alone_asks_for_no_more_than_ids_and_its_own_files() -> None:
    client: Any = _Client()
    found = resolve(client, data_run("1" * 32))
    assert isinstance(found, Inputs)
    assert (found.reference, found.image.bundle) == (IMAGE["ref"], IMAGE["source"])
    assert found.params == Input("params", HEADS["params"], "", content=HEADS["params"].encode().hex())
    client.asked.clear()
    resolve(client, data_run("2" * 32))
    assert client.asked == ["head of build@latest", "head of params@none", f"data@{'2' * 32}:/"]
