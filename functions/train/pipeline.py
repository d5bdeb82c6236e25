"""The train pipeline: one for each image and set of resources, since updating one would kill its unfinished jobs.

None is ever deleted but with its workspace: a pipeline's output repo holds the models, its jobs say which trials were
done, and Pachyderm makes no pipeline of that name again where the repo is kept. Stopping it would kill what is launched
meanwhile, and starting it again makes a job that nobody has asked for. So it is Pachyderm that sees to idle ones.
"""

import hashlib

from python_pachyderm import Client
from python_pachyderm.proto.v2.pps import pps_pb2

from functions.train.inputs import Inputs
from shared.names import TRIAL_DIGITS
from shared.pachyderm import commit_of
from shared.runs import Options

# The user's contract: argument 1 is a directory of the trial's own. `exec`, so that the exit status and the signals
# are the script's.
_SCRIPT = (
    "set -e",
    f'out=/pfs/out/$(printf %.{TRIAL_DIGITS}s "$PACH_DATUM_ID")',
    'mkdir -p "$out"',
    'exec ./train "$out"',
)
# Trials that may run side by side where the user does not say: the engine's own slots bound it further.
_PARALLELISM = 4


def pipeline_name(digest: str, options: Options, *, data: str = "data", again: str = "") -> str:
    """`train-<image7>`, with a suffix where the user asked for resources (Pachyderm allows 51 characters).

    `data` is the repo that the data is in: another one is another input. `again` is a run that trains what has been
    trained before: in a pipeline of its own, Pachyderm skips nothing.
    """
    asked = options.model_dump_json(exclude_none=True) + again + ("" if data == "data" else data)
    suffix = "" if asked == "{}" else f"-{hashlib.sha256(asked.encode()).hexdigest()[:7]}"
    return f"train-{digest[:7]}{suffix}"


def move_heads(client: Client, workspace: str, pipeline: str, inputs: Inputs) -> None:
    """Points the pipeline's own branch of each input at what this run trains on.

    The hyperparameters' head is a new commit of the same content: so there is a job for every run, even where
    two runs train on the very same commits, and Pachyderm skips what the first of them has done.
    """
    for head in (inputs.image, inputs.data, inputs.params):
        client.create_branch(
            head.repo,
            pipeline,
            commit_of(workspace, head.repo, head.commit),
            new_commit=head is inputs.params,
            project_name=workspace,
        )


def create_pipeline(client: Client, workspace: str, pipeline: str, inputs: Inputs, options: Options) -> None:
    """Creates the pipeline, whose input branches `move_heads` has made in the same transaction."""
    resources = _resources(options)
    client.create_pipeline(
        pipeline,
        # err_cmd: a trial that fails is told (RECOVERED), and the other trials go on.
        pps_pb2.Transform(image=inputs.reference, cmd=["sh"], stdin=_SCRIPT, err_cmd=["true"]),
        project_name=workspace,
        input=pps_pb2.Input(
            cross=[
                _input(workspace, "image", inputs.image.repo, pipeline),
                _input(workspace, "data", inputs.data.repo, pipeline),
                _input(workspace, "hyper", inputs.params.repo, pipeline),
            ]
        ),
        parallelism_spec=pps_pb2.ParallelismSpec(constant=options.parallelism or _PARALLELISM),
        resource_requests=resources,
        resource_limits=resources,
        # A training is not repeated behind the user's back: it may be long, and what fails once mostly fails again.
        datum_tries=1,
        # On a cluster, what is idle has no workers: each would hold the cores, the memory and the GPUs of a trial.
        autoscaling=True,
        description="Trains models with one image.",
    )


def _input(workspace: str, name: str, repo: str, branch: str) -> pps_pb2.Input:
    return pps_pb2.Input(pfs=pps_pb2.PFSInput(project=workspace, name=name, repo=repo, branch=branch, glob="/*"))


def _resources(options: Options) -> pps_pb2.ResourceSpec | None:
    if options.cpu is None and options.memory is None and not options.gpu:
        return None
    spec = pps_pb2.ResourceSpec(cpu=options.cpu or 0, memory=options.memory or "")
    if options.gpu:
        spec.gpu.type, spec.gpu.number = "nvidia.com/gpu", options.gpu
    return spec
