"""The gateway's HTTP API as a typed client: a method a route, and errors as the sentences that the gateway sends."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from kaos.cli import web
from kaos.cli.state import Connection
from kaos.cli.wire import Contents, Event, Line, Preview, Provenance, Run, Submitted, Workspace
from shared.errors import Conflict, KaosError, NotFound, Reject, Unreachable

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
_ERROR: Final = 400
_UNAVAILABLE: Final = 503
# What changes nothing when it is asked twice.
_REPEATABLE: Final = frozenset({"GET", "PUT"})
# A server of the stack is back within these seconds.
_PAUSES: Final = (0.3, 0.7, 2.0)
# An error is a sentence; what is longer is not the gateway's.
_ERROR_MAX_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 1 << 16

Query = Mapping[str, str | int | None]


class Client:
    """Calls the gateway. Every method raises KaosError as the gateway told it, and Unreachable where none answers."""

    def __init__(self, connection: Connection) -> None:
        self._endpoint = web.parse(connection.endpoint)
        self._headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}

    def info(self) -> dict[str, str]:
        """Version and addresses of the stack."""
        return cast("dict[str, str]", self._call("GET", "/v1/info"))

    def workspaces(self) -> list[Workspace]:
        """All workspaces, by name."""
        return cast("list[Workspace]", self._call("GET", "/v1/workspaces")["workspaces"])

    def workspace(self, name: str) -> Workspace:
        """One workspace, with what its next training inherits."""
        return cast("Workspace", self._call("GET", _path(name)))

    def make_workspace(self, name: str) -> Workspace:
        """Makes it, or finds it there."""
        return cast("Workspace", self._call("PUT", _path(name)))

    def contents(self, name: str) -> Contents:
        """What a workspace holds."""
        return cast("Contents", self._call("GET", _path(name, "contents")))

    def kill_workspace(self, name: str) -> dict[str, object]:
        """Deletes a workspace; returns how many runs it had, and how many of them were killed."""
        return cast("dict[str, object]", self._call("DELETE", _path(name)))

    def submit(self, workspace: str, submission: Mapping[str, object]) -> Submitted:
        """Announces a run: {parts of {kind, filename, size}, options, author, force}."""
        return cast("Submitted", self._call("POST", _path(workspace, "runs"), submission))

    def dry_run(self, workspace: str, plan: Mapping[str, object]) -> Preview:
        """What a submission would do: `plan` is one whose parts tell also {tree, trials}."""
        return cast("Preview", self._call("POST", _path(workspace, "dry-run"), plan))

    def complete(self, run: Run, key: str, upload_id: str, etags: list[str]) -> None:
        """Joins the parts of an upload."""
        body = {"key": key, "upload_id": upload_id, "etags": etags}
        self._call("POST", _path(run["workspace"], "runs", run["id"], "uploads"), body)

    def runs(self, workspace: str, limit: int, *, state: str = "", since: str = "") -> list[Run]:
        """The newest runs of a workspace, of all where it is empty; `since` is an ISO 8601 time."""
        query = {"limit": limit, "state": state or None, "since": since or None}
        path = _path(workspace, "runs", query=query) if workspace else _asking("/v1/runs", query)
        return cast("list[Run]", self._call("GET", path)["runs"])

    def run(self, workspace: str, run: str) -> Run:
        """One run."""
        return cast("Run", self._call("GET", _path(workspace, "runs", run)))

    def kill(self, run: Run) -> Run:
        """Ends a run; it is as it is then."""
        return cast("Run", self._call("POST", _path(run["workspace"], "runs", run["id"], "kill")))

    def kill_trial(self, run: Run, trial: str) -> dict[str, str]:
        """Ends one trial of a run; {run, trial}."""
        path = _path(run["workspace"], "runs", run["id"], "trials", trial, "kill")
        return cast("dict[str, str]", self._call("POST", path))

    def retry(self, run: Run, author: str) -> Run:
        """A new run that does again what failed of this one."""
        return cast("Run", self._call("POST", _path(run["workspace"], "runs", run["id"], "retry"), {"author": author}))

    def logs(self, run: Run, stage: str, *, follow: bool = False, tail: int | None = None) -> Iterator[Line]:
        """The lines of a stage; with `follow`, until its log is complete."""
        query = {"stage": stage, "follow": _flag(follow), "tail": tail}
        path = _path(run["workspace"], "runs", run["id"], "logs", query=query)
        return cast("Iterator[Line]", self._lines(path, follow=follow))

    def events(self, workspace: str, run: str = "", *, follow: bool = False, after: str = "") -> Iterator[Event]:
        """The events of a workspace or of one run, after the one with sequence `after`."""
        steps = (workspace, "runs", run, "events") if run else (workspace, "events")
        path = _path(*steps, query={"follow": _flag(follow), "after": after or None})
        return cast("Iterator[Event]", self._lines(path, follow=follow))

    def provenance(self, workspace: str, model: str, run: str) -> Provenance:
        """What a model was made from: by the run, else by the newest that trained it."""
        path = _path(workspace, "models", model, "provenance", query={"run": run or None})
        return cast("Provenance", self._call("GET", path))

    @contextmanager
    def files(self, run: Run, what: str, trial: str = "") -> Iterator[HTTPResponse]:
        """A tar of `code`, `data` or `model`, to be read as it comes."""
        path = _path(run["workspace"], "runs", run["id"], "files", what, query={"trial": trial or None})
        with self._open("GET", path) as response:
            yield response

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        with self._open(method, path, None if body is None else json.dumps(body).encode()) as response:
            return self._parsed(response.read())

    def _lines(self, path: str, *, follow: bool) -> Iterator[dict[str, Any]]:
        with self._open("GET", path, waits=follow) as response:
            rest = b""
            # Not `for line in response`: it takes a stream that broke off for one that has ended.
            while block := response.read1(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                yield from map(self._parsed, lines)

    def _parsed(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise KaosError(
                "stack.foreign", f"What answers at {self._endpoint.geturl()} is not kaos: see `kaos init -e URL`."
            ) from error

    @contextmanager
    def _open(
        self, method: str, path: str, body: bytes | None = None, *, waits: bool = False
    ) -> Iterator[HTTPResponse]:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body else {})}
        connection, response = self._sent(method, path, headers, body)
        try:
            if response.status >= _ERROR:
                raise _error(response)
            if waits and connection.sock:
                connection.sock.settimeout(None)
            yield response
        except (HTTPException, ConnectionError, TimeoutError) as error:
            raise Unreachable(
                "stack.broke-off", f"The stack at {self._endpoint.geturl()} stopped in mid-answer: try again."
            ) from error
        finally:
            response.close()
            connection.close()

    def _sent(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[HTTPConnection, HTTPResponse]:
        """Sends it; again, where a server behind the gateway is just restarting and asking twice is harmless."""
        for pause in _PAUSES if method in _REPEATABLE else ():
            connection, response = web.send(self._endpoint, method, path, headers, body)
            if response.status != _UNAVAILABLE:
                return connection, response
            connection.close()
            time.sleep(pause)
        return web.send(self._endpoint, method, path, headers, body)


def _error(response: HTTPResponse) -> KaosError:
    try:
        told = json.loads(response.read(_ERROR_MAX_BYTES))["error"]
        code, message = str(told["code"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "stack.foreign", f"It answered {response.status} {response.reason}, not as kaos would."
    kind: type[KaosError] = KaosError
    if response.status == _NOT_FOUND:
        kind = NotFound
    elif response.status == _CONFLICT:
        kind = Conflict
    elif response.status < _SERVER_ERROR:
        kind = Reject
    elif code.endswith(".unreachable"):
        kind = Unreachable
    return kind(code, message)


def _path(*steps: str, query: Query | None = None) -> str:
    return _asking("/".join(("/v1/workspaces", *(quote(step, safe="") for step in steps))), query)


def _asking(path: str, query: Query | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _flag(value: bool) -> str:
    return "true" if value else "false"
