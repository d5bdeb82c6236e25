"""What became of each trial of a train job: its state, its parameters, its metrics, its model."""

import json
from pathlib import PurePosixPath
from typing import Any, Final

from python_pachyderm import Client
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.logs.lines import TRIAL_DIGITS
from shared.pachyderm import commit_of
from shared.runs import Inputs, Trial

_STATES: Final[dict[int, str]] = {
    pps_pb2.DatumState.SUCCESS: "succeeded",
    pps_pb2.DatumState.SKIPPED: "skipped",
    pps_pb2.DatumState.FAILED: "failed",
    pps_pb2.DatumState.RECOVERED: "failed",
    pps_pb2.DatumState.STARTING: "running",
}
DONE: Final = frozenset({"succeeded", "skipped"})
# A file of metrics is a handful of numbers; what is larger is something else.
_METRICS_MAX_BYTES: Final = 1 << 20


def read_trials(client: Client, workspace: str, pipeline: str, job: str, inputs: Inputs) -> list[Trial]:
    """All trials of a job that is over, in the order Pachyderm lists them. Raises grpc.RpcError."""
    written = _files_by_trial(client, workspace, pipeline, job)
    trials = []
    for info in client.list_datum(pipeline, job, project_name=workspace):
        trial = Trial(id=info.datum.id[:TRIAL_DIGITS], datum=info.datum.id, state=_STATES.get(info.state, "unknown"))
        trial.params = _params(client, info)
        trial.seconds = info.stats.process_time.ToTimedelta().total_seconds() or None
        paths = written.get(trial.id, [])
        if trial.state in DONE and paths:
            trial.model = _model_id(inputs, trial.id)
            trial.metrics = _metrics(client, commit_of(workspace, pipeline, job), paths)
        trials.append(trial)
    return trials


def _model_id(inputs: Inputs, trial: str) -> str:
    hashes = [bundle.rpartition(":")[2] for bundle in (inputs.source, inputs.data, inputs.params) if bundle]
    return f"{'_'.join(hashes)}:{trial}"


def _files_by_trial(client: Client, workspace: str, pipeline: str, job: str) -> dict[str, list[tuple[str, int]]]:
    """Path and size of every file that each trial wrote."""
    found: dict[str, list[tuple[str, int]]] = {}
    for info in client.walk_file(commit_of(workspace, pipeline, job), "/"):
        path = PurePosixPath(info.file.path)
        if info.file_type == pfs_pb2.FileType.FILE and len(path.parts) > 1:
            found.setdefault(path.parts[1], []).append((str(path), info.size_bytes))
    return found


def _params(client: Client, info: Any) -> dict[str, object]:
    """The combination of hyperparameters that the datum was given, from the file it saw."""
    for file in info.data:
        if file.file.commit.branch.repo.name == "params":
            return _read_object(client, file.file.commit, file.file.path)
    return {}


def _metrics(client: Client, commit: Any, paths: list[tuple[str, int]]) -> dict[str, object]:
    """What the trial wrote into metrics/*.json, merged."""
    merged: dict[str, object] = {}
    for path, size in paths:
        parts = PurePosixPath(path).parts
        if parts[2:3] == ("metrics",) and path.endswith(".json") and size <= _METRICS_MAX_BYTES:
            merged |= {
                name: value
                for name, value in _read_object(client, commit, path).items()
                if isinstance(value, int | float | str)
            }
    return merged


def _read_object(client: Client, commit: Any, path: str) -> dict[str, object]:
    """A JSON object in Pachyderm; empty where user code wrote something else."""
    try:
        found = json.loads(client.get_file(commit, path).read())
    except (ValueError, StopIteration):  # StopIteration: how the client says that a file is empty
        return {}
    return found if isinstance(found, dict) else {}
