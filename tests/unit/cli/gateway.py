"""A gateway for the command line's tests: real HTTP on a free port, answers as the real one's, no stack behind it."""

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "secret-token"
BEGIN = datetime(2026, 7, 29, 15, 25, 46, tzinfo=UTC)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def at(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def run_id(number: int) -> str:
    return "01j" + "0" * 21 + _ALPHABET[number // 32] + _ALPHABET[number % 32]


def job(state: str = "", job_id: str = "", **fields: Any) -> dict[str, Any]:
    times = {"started": at(1) if job_id else None, "finished": at(3) if state in {"succeeded", "failed"} else None}
    return {"job": job_id, "pipeline": "", "state": state, "skipped": False, "reason": "", **times, **fields}


def record(number: int = 1, state: str = "received", **fields: Any) -> dict[str, Any]:
    """A run record, whole."""
    return {
        "workspace": "mnist",
        "id": run_id(number),
        "state": state,
        "created": at(0),
        "expected": ["source", "data"],
        "parts": {},
        "options": {},
        "author": "ada@engine",
        "force": False,
        "retry_of": "",
        "same_as": "",
        "inputs": {"source": "mnist:e23a2f1", "data": "features:9fd9d03", "params": "", "image": "mnist@sha256:1"},
        "build": job(),
        "fetch": job(),
        "train": job(),
        "trial_count": len(fields.get("trials", ())),
        "trials_live": False,
        "trials": [],
        "error": None,
        "times": {"received": at(0), state: at(4)},
        **fields,
    }


_COSTS = {"step": None, "omitted": False, "cpu_seconds": 0.75, "peak_bytes": 12_345_678}


def trial(name: str, **fields: Any) -> dict[str, Any]:
    whole = {"id": name, "datum": "", "model": f"e23a2f1_9fd9d03:{name}", "state": "succeeded", "params": {}}
    return {**whole, "metrics": {}, "seconds": 1.0, "reason": "", **_COSTS, **fields}


def line(seq: int, text: str, **fields: Any) -> dict[str, Any]:
    return {"stage": "train", "job": "a" * 32, "trial": "cebf65", "seq": seq, "time": at(seq), "text": text, **fields}


def event(sequence: int, kind: str, **data: Any) -> dict[str, Any]:
    envelope = {"specversion": "1.0", "id": str(sequence), "type": f"kaos.{kind}", "time": at(sequence)}
    return {**envelope, "sequence": str(sequence), "data": {"workspace": "mnist", **data}}


@dataclass
class Gateway:
    """What it answers, and what it was told. `break_off` names streams that end in the middle, once each."""

    url: str = ""
    workspaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    tars: dict[str, bytes] = field(default_factory=dict)
    becomes: dict[str, Any] = field(default_factory=lambda: {"state": "received"})
    preview: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)
    plans: list[dict[str, Any]] = field(default_factory=list)
    part_size: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    killed_trials: list[str] = field(default_factory=list)
    restarting: int = 0  # requests that are still answered with 503
    break_off: Counter[str] = field(default_factory=Counter)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    completions: list[dict[str, Any]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    held: str = ""  # a stream that stays open until `release` is set
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_workspace(self, name: str = "mnist", **inputs: str) -> None:
        nothing = {"source": "", "data": "", "params": "", "image": ""}
        self.workspaces[name] = {"name": name, "created": at(0), "runs": 0, "inputs": {**nothing, **inputs}}

    def submit(self, workspace: str, body: dict[str, Any]) -> dict[str, Any]:
        self.submissions.append(body)
        self.workspaces.setdefault(workspace, {"name": workspace, "created": at(0)})
        made = record(len(self.runs) + 1, workspace=workspace, expected=[part["kind"] for part in body["parts"]])
        self.runs.insert(0, made)
        return {"run": dict(made), "uploads": [self._upload(workspace, made["id"], part) for part in body["parts"]]}

    def _upload(self, workspace: str, run: str, part: dict[str, Any]) -> dict[str, Any]:
        key = f"{workspace}/{part['kind']}/{run}/{part['filename']}"
        target = f"{self.url}/store/{key}?signature=abc"
        if self.part_size and part["size"] > self.part_size:
            urls = [f"{target}&part={n}" for n in range(1, -(-part["size"] // self.part_size) + 1)]
            parts = {"upload_id": "up", "part_size": self.part_size, "urls": urls}
            return {"kind": part["kind"], "key": key, "headers": {}, "url": None, "multipart": parts}
        headers = {"x-amz-meta-kaos-run": run}
        return {"kind": part["kind"], "key": key, "headers": headers, "url": target, "multipart": None}


def serve(gateway: Gateway) -> ThreadingHTTPServer:
    """A server for `gateway`, on a free port; the caller runs and closes it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"gateway": gateway}))
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway: Gateway

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    do_DELETE = do_GET  # noqa: N815 - as the parent names them

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # whoever sent it gave up
            self.close_connection = True
        else:
            self._serve(body)

    do_POST = do_PUT  # noqa: N815 - as the parent names them

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        self.gateway.queries.append(self.path)
        if url.path.startswith("/store/"):
            self._store(unquote(url.path.removeprefix("/store/")), parse_qs(url.query), body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "auth.token", "The token is missing or wrong.")
        elif self.gateway.restarting:
            self.gateway.restarting -= 1
            self._error(503, "pachyderm.unreachable", "Pachyderm does not answer.")
        else:
            self._route(unquote(url.path), {name: values[0] for name, values in parse_qs(url.query).items()}, body)

    def _store(self, key: str, query: dict[str, list[str]], body: bytes) -> None:
        with self.gateway.lock:
            refusal = self.gateway.refusals.pop(0) if self.gateway.refusals else None
            number = query.get("part", [""])[0]
            if refusal is None:
                self.gateway.stored[f"{key}#{number}" if number else key] = body
                self.gateway.headers[key] = {name.lower(): value for name, value in self.headers.items()}
        status, code = refusal or (200, "")
        self._send(status, f"<Error><Code>{code}</Code></Error>".encode() if code else b"", {"ETag": f'"e{number}"'})

    def _route(self, path: str, query: dict[str, str], body: bytes) -> None:  # noqa: C901, PLR0911, PLR0912
        gateway = self.gateway
        if path == "/v1/info":
            return self._json({"version": "0.1.0", "nats_url": "", "s3_endpoint": "", "inbox_bucket": "kaos-inbox"})
        if path == "/v1/workspaces":
            return self._json({"workspaces": list(gateway.workspaces.values())})
        if path.endswith("/dry-run"):
            gateway.plans.append(json.loads(body))
            return self._json(gateway.preview)
        if path == "/v1/runs":
            return self._json({"runs": [run for run in gateway.runs if query.get("state") in {None, run["state"]}]})
        if path.endswith("/kill") and "/trials/" in path:
            gateway.killed_trials.append(path.split("/")[-2])
            return self._json({"run": path.split("/")[5], "trial": path.split("/")[-2]})
        if path.endswith("/contents"):
            return self._json(gateway.contents)
        if path.endswith("/provenance"):
            return self._json(gateway.lineage)
        match = re.fullmatch(r"/v1/workspaces/([^/]+)(?:/(runs|events)(?:/([^/]+)(?:/(\w+)(?:/(\w+))?)?)?)?", path)
        assert match, path
        name, what, run, below, leaf = match.groups()
        if self.command == "PUT":
            gateway.add_workspace(name)
        if self.command == "POST" and run is None:
            return self._json(gateway.submit(name, json.loads(body)), 201)
        if name not in gateway.workspaces:
            return self._error(404, "workspace.unknown", f"There is no workspace {name}.")
        if self.command == "DELETE":
            del gateway.workspaces[name]
            return self._json({"name": name, "runs": len(gateway.runs), "killed": 1})
        if what is None:
            return self._json(gateway.workspaces[name])
        if what == "events" or below == "events":
            after = int(query.get("after", 0))
            return self._lines("events", [each for each in gateway.events if int(each["sequence"]) > after])
        if run is None:
            return self._json({"runs": gateway.runs[: int(query["limit"])]})
        return self._of_run(run, below, leaf, query, body)

    def _of_run(  # noqa: PLR0911
        self, run: str, below: str | None, leaf: str | None, query: dict[str, str], body: bytes
    ) -> None:
        gateway = self.gateway
        found = next((each for each in gateway.runs if each["id"] == run), None)
        if found is None:
            return self._error(404, "run.unknown", f"There is no run {run}.")
        if below is None:
            # Asked for by its id after the submission: it has become what the test says.
            found.update(gateway.becomes if len(gateway.submissions) else {})
            return self._json(found)
        if below == "uploads":
            gateway.completions.append(json.loads(body))
            return self._json({"key": ""})
        if below == "logs":
            return self._lines("logs", gateway.lines.get(query["stage"], []))
        if below == "kill":
            return self._kill(found)
        if below == "retry":
            gateway.submissions.append(json.loads(body))
            made = record(len(gateway.runs) + 1, workspace=found["workspace"], retry_of=run)
            gateway.runs.insert(0, made)
            return self._json(dict(made), 201)
        assert leaf is not None
        if leaf not in gateway.tars:
            return self._error(404, "files.none", f"The run has no {leaf}.")
        return self._chunks(leaf, [gateway.tars[leaf]])

    def _kill(self, run: dict[str, Any]) -> None:
        if run["state"] in {"succeeded", "failed"}:
            return self._error(409, "run.final", "The run is over.")
        run["error"] = {"code": "run.killed", "message": f"It was killed while it was {run['state']}."}
        run["state"] = "killed"
        return self._json(run)

    def _lines(self, name: str, items: list[dict[str, Any]]) -> None:
        self._chunks(name, [json.dumps(item).encode() + b"\n" for item in items])

    def _chunks(self, name: str, chunks: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        breaks = self.gateway.break_off[name] > 0
        if breaks:
            self.gateway.break_off[name] -= 1
            chunks = chunks[: max(1, len(chunks) // 2)]
            chunks[-1] = chunks[-1][: len(chunks[-1]) if len(chunks) > 1 or name in {"logs", "events"} else 700]
        for chunk in chunks:
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if name == self.gateway.held:
            self.gateway.release.wait(30)
        if breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {})

    def _error(self, status: int, code: str, message: str) -> None:
        self._json({"error": {"code": code, "message": message}}, status)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
