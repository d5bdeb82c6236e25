"""What became of each trial of a train job: its state, its parameters, its metrics, its model."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.logs.metrics import Metrics, values
from shared.names import TRIAL_DIGITS
from shared.pachyderm import commit_of
from shared.runs import Inputs
from shared.trials import Trial

_STATES: Final[dict[int, str]] = {
    pps_pb2.DatumState.SUCCESS: "succeeded",
    pps_pb2.DatumState.SKIPPED: "skipped",
    pps_pb2.DatumState.FAILED: "failed",
    pps_pb2.DatumState.RECOVERED: "failed",
    pps_pb2.DatumState.STARTING: "running",
}
DONE: Final = frozenset({"succeeded", "skipped"})
# A file of metrics or parameters is a handful of numbers; what is larger is something else.
_OBJECT_MAX_BYTES: Final = 1 << 20
_METRICS: Final = "/*/metrics/*.json"


def read_trials(client: Client, workspace: str, pipeline: str, job: str, inputs: Inputs) -> list[Trial]:
    """All trials of a job that is over, in the order Pachyderm lists them. Raises grpc.RpcError."""
    output = commit_of(workspace, pipeline, job)
    wrote, metrics = _outputs(client, output)
    listed = list(client.list_datum(pipeline, job, project_name=workspace))
    params = _params(client, listed)
    trials = []
    for info in listed:
        trial = Trial(id=info.datum.id[:TRIAL_DIGITS], datum=info.datum.id, state=_STATES.get(info.state, "unknown"))
        trial.params = params.get(_params_path(info), {})
        trial.seconds = info.stats.process_time.ToTimedelta().total_seconds() or None
        if trial.state in DONE and trial.id in wrote:
            trial.model = _model_id(inputs, trial.id)
            if (found := metrics.get(trial.id)) is not None:
                trial.metrics, trial.omitted = found.values, found.omitted
        trials.append(trial)
    return trials


def _model_id(inputs: Inputs, trial: str) -> str:
    hashes = [bundle.rpartition(":")[2] for bundle in (inputs.source, inputs.data, inputs.params) if bundle]
    return f"{'_'.join(hashes)}:{trial}"


def read_params(client: Client, workspace: str, pipeline: str, job: str) -> dict[str, dict[str, object]]:
    """The combination of hyperparameters of each trial of a job, also of one that goes on. Raises grpc.RpcError."""
    listed = list(client.list_datum(pipeline, job, project_name=workspace))
    params = _params(client, listed)
    return {info.datum.id[:TRIAL_DIGITS]: params.get(_params_path(info), {}) for info in listed}


def _outputs(client: Client, output: Any) -> tuple[set[str], dict[str, Metrics]]:
    """The trials that wrote anything, and what each wrote into metrics/*.json, merged."""
    # Directories without files are not there. What is in them is not asked for: a model may be thousands of files.
    wrote = {PurePosixPath(info.file.path).name for info in client.list_file(output, "/")}
    metrics: dict[str, Metrics] = {}
    if next(iter(client.glob_file(output, _METRICS)), None) is not None:
        for path, found in _objects(client, output, _METRICS):
            metrics.setdefault(path.parts[1], Metrics(len(metrics))).add(values(found))
    return wrote, metrics


def _params(client: Client, listed: list[Any]) -> dict[str, dict[str, object]]:
    """The combination of hyperparameters of each path in the commit that the datums were given."""
    commits = [file.file.commit for info in listed[:1] for file in info.data if _is_params(file)]
    return {str(path): found for commit in commits for path, found in _objects(client, commit, "/*.json")}


def _params_path(info: Any) -> str:
    return next((str(file.file.path) for file in info.data if _is_params(file)), "")


def _is_params(file: Any) -> bool:
    return bool(file.file.commit.branch.repo.name == "params")


def _objects(client: Client, commit: Any, pattern: str) -> Iterator[tuple[PurePosixPath, dict[str, object]]]:
    """The JSON objects of all files that match, in one stream: a grid has thousands. What is none is left out."""
    with client.get_file_tar(commit, pattern) as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() and entry.size <= _OBJECT_MAX_BYTES else None
            if content is None:
                continue
            try:
                found = json.loads(content.read())
            except (ValueError, RecursionError):
                continue  # user code may write what it likes
            if isinstance(found, dict):
                yield PurePosixPath("/", entry.name.lstrip("/")), found
