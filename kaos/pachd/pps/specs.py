"""What a pipeline's specification may say: filled up with Pachyderm's defaults, or refused."""

import re
from typing import Any, Final

from python_pachyderm.proto.v2.pps import pps_pb2

from kaos.pachd.errors import invalid, unknown, unsupported
from kaos.pachd.pfs.names import valid_name
from kaos.pachd.runtimes.container import Limits

# Pachyderm's own bound: a pipeline's name becomes that of a Kubernetes controller.
_NAME_MAX: Final = 51
_DEFAULT_TRIES: Final = 3
_DEFAULT_BRANCH: Final = "master"
# Of CreatePipelineRequest: what the embedded engine can't do, and must not silently leave undone.
_UNSUPPORTED: Final = ("tf_job", "egress", "service", "spout", "s3_out", "determined", "pod_spec", "pod_patch")
# Of both, under the same names: what a job needs to know of its pipeline.
_KEPT: Final = (
    *(
        "transform",
        "parallelism_spec",
        "resource_requests",
        "resource_limits",
        "input",
        "description",
        "datum_set_spec",
    ),
    *("datum_timeout", "job_timeout", "datum_tries", "metadata", "reprocess_spec", "output_branch", "autoscaling"),
)
# Kubernetes quantities of memory in bytes; m, a thousandth, is legal there and never meant.
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?(?:[eE]\d+)?)(|k|[MGTPE]|[KMGTPE]i)\Z")
_UNITS: Final = {"": 1, "k": 10**3} | {
    unit + suffix: base ** (power + 1)
    for power, unit in enumerate("KMGTPE")
    for suffix, base in (("", 1000), ("i", 1024))
}


def details_of(request: Any) -> pps_pb2.PipelineInfo.Details:
    """The specification of a CreatePipelineRequest, complete. UNKNOWN, INVALID_ARGUMENT or UNIMPLEMENTED."""
    name = valid_name("pipeline", request.pipeline.name)
    if len(name) > _NAME_MAX:
        raise unknown(f"pipeline name ({name}) is {len(name)} characters longer than {_NAME_MAX}")
    for field, _ in request.ListFields():
        if field.name in _UNSUPPORTED:
            raise unsupported(f"pipelines with {field.name}")
    _check_transform(request.transform)
    details = pps_pb2.PipelineInfo.Details()
    for field, value in request.ListFields():
        if field.name not in _KEPT:
            continue
        if field.message_type is not None:
            getattr(details, field.name).CopyFrom(value)
        else:
            setattr(details, field.name, value)
    details.datum_tries = details.datum_tries or _DEFAULT_TRIES
    details.output_branch = details.output_branch or _DEFAULT_BRANCH
    details.parallelism_spec.constant = details.parallelism_spec.constant or 1
    _complete_input(details.input, request.pipeline.project.name or "default")
    limits_of(details)
    return details


def limits_of(details: Any) -> Limits:
    """What one datum may use. INVALID_ARGUMENT for quantities that are none."""
    asked = details.resource_limits if details.HasField("resource_limits") else details.resource_requests
    timeout = details.datum_timeout.ToNanoseconds() / 1e9 if details.HasField("datum_timeout") else None
    return Limits(
        cpu=asked.cpu or None,
        memory=_memory(asked.memory) if asked.memory else None,
        gpus=tuple(range(int(asked.gpu.number))),
        seconds=timeout,
    )


def _check_transform(transform: Any) -> None:
    if not transform.image:
        raise invalid("a pipeline's transform needs an image")
    if transform.secrets or transform.image_pull_secrets:
        raise unsupported("secrets in pipelines")
    if transform.datum_batching:
        raise unsupported("datum batching")


def _complete_input(given: Any, project: str) -> None:
    """Fills in names, branches and projects, recursively; refuses what has no embedded meaning."""
    kind = [field.name for field, _ in given.ListFields()]
    if len(kind) != 1:
        raise unknown("an input must be exactly one of pfs, cross, union" if kind else "no input set")
    if kind[0] in {"join", "group", "cron"}:
        raise unsupported(f"{kind[0]} inputs")
    for inner in (*given.cross, *given.union):
        _complete_input(inner, project)
    if given.HasField("pfs"):
        pfs = given.pfs
        if not pfs.repo or not pfs.glob:
            raise unknown("a pfs input needs a repo and a glob")
        if pfs.s3 or pfs.commit or pfs.HasField("trigger"):
            raise unsupported("pfs inputs with s3, commit or trigger")
        pfs.project = pfs.project or project
        pfs.repo_type = pfs.repo_type or "user"
        pfs.branch = pfs.branch or _DEFAULT_BRANCH
        pfs.name = pfs.name or pfs.repo
        if pfs.name == "out":
            raise unknown('input cannot be named "out": it is where output goes')


def _memory(quantity: str) -> int:
    match = _QUANTITY.match(quantity)
    if match is None:
        raise invalid(f"could not parse memory quantity {quantity!r}")
    return int(float(match[1]) * _UNITS[match[2]])
