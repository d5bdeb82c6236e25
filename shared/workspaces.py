"""Makes a workspace: a Pachyderm project with its four repos, and the commit that stands for no hyperparameters."""

from datetime import UTC, datetime
from typing import Final

import grpc
from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from pydantic import BaseModel
from python_pachyderm import Client

from shared.bus import Bus
from shared.entries import entries
from shared.errors import Conflict, NotFound
from shared.names import PART_KINDS, workspace_name
from shared.pachyderm import Pachyderm, commit_of, details, is_code

# Branch of repo params, and the file on it: one combination, which is empty.
NO_PARAMS: Final = "none"
_NO_PARAMS_PATH: Final = "/default.json"
_BUCKET: Final = "kaos-workspaces"


class Workspace(BaseModel):
    """A workspace and when it was made. `ending`: it is being deleted, or somebody has begun to."""

    name: str
    created: datetime
    ending: bool = False


async def ensure(pachyderm: Pachyderm, bus: Bus, name: str) -> Workspace:
    """Makes the workspace unless it is there. Harmless to repeat or to race.

    Its entry in the key-value bucket is written last: a workspace that is listed is whole. Raises Reject
    `workspace.name`, Conflict `workspace.ending`.
    """
    if (there := await find(bus, workspace_name(name))) is not None:
        if there.ending:
            raise Conflict(
                "workspace.ending", f"Workspace {name} is being deleted: try again, or finish it: kaos workspace kill."
            )
        return there
    await pachyderm.call(lambda client: _make(client, name))
    made = Workspace(name=name, created=datetime.now(UTC))
    bucket = await bus.key_value(_BUCKET)
    try:
        await bucket.create(name, made.model_dump_json().encode())
    except KeyWrongLastSequenceError:
        return await find(bus, name) or made
    # Not a record but a nudge: the relay looks for new projects by itself, only later.
    await bus.client.publish(f"kaos.{name}.workspace.created", b"")
    return made


async def find(bus: Bus, name: str) -> Workspace | None:
    """The workspace, or None where there is none of that name."""
    bucket = await bus.key_value(_BUCKET)
    try:
        entry = await bucket.get(name)
    except (KeyNotFoundError, KeyDeletedError):
        return None
    return Workspace.model_validate_json(entry.value) if entry.value else None


async def get(bus: Bus, name: str) -> Workspace:
    """As `find`, but raises NotFound `workspace.unknown`."""
    found = await find(bus, name)
    if found is None:
        raise NotFound(
            "workspace.unknown", f"There is no workspace {name}: `kaos workspace create -n {name}` makes it."
        )
    return found


async def begin_end(bus: Bus, name: str) -> None:
    """Makes the workspace take nothing in any more. Raises NotFound `workspace.unknown`."""
    found = await get(bus, name)
    await (await bus.key_value(_BUCKET)).put(name, found.model_copy(update={"ending": True}).model_dump_json().encode())


async def forget(bus: Bus, name: str) -> None:
    """Removes its entry, the last of it."""
    await (await bus.key_value(_BUCKET)).purge(name)


async def every(bus: Bus) -> list[Workspace]:
    """All workspaces by name."""
    bucket = await bus.key_value(_BUCKET)
    found = [Workspace.model_validate_json(value) async for _, value in entries(bucket) if value]
    return sorted(found, key=lambda workspace: workspace.name)


def _make(client: Client, name: str) -> None:
    try:
        client.create_project(name, description="A kaos workspace.")
    except grpc.RpcError as error:
        if not is_code(error, grpc.StatusCode.ALREADY_EXISTS):
            raise
    for kind in PART_KINDS:
        client.create_repo(kind, description=f"The {kind} bundles of workspace {name}.", update=True, project_name=name)
    if not _has_branch(client, name):
        _commit_no_params(client, name)


def _has_branch(client: Client, name: str) -> bool:
    """Whether the branch has a finished head, that is, whether an earlier attempt came to its end."""
    try:
        head = client.inspect_branch("params", NO_PARAMS, project_name=name).head
    except grpc.RpcError as error:
        if is_code(error, grpc.StatusCode.NOT_FOUND):
            return False
        raise
    return bool(head.id)


def _commit_no_params(client: Client, name: str) -> None:
    """Writes the one file as an implicit commit: started and finished by Pachyderm in one step, or not at all."""
    try:
        with client.modify_file_client(commit_of(name, "params", branch=NO_PARAMS)) as files:
            files.put_file_from_bytes(_NO_PARAMS_PATH, b"{}\n")
    except grpc.RpcError as error:
        if "has not been finished" not in details(error):  # another attempt is at it
            raise
