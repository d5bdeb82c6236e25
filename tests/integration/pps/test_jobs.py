"""Pipelines make jobs of commits: propagation, datums, skipping, failures, as Pachyderm has them."""

from typing import Any

import grpc
import pytest
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2

from shared.pachyderm import commit_of, is_code
from tests.integration.pps.conftest import Engine, Project

JOB = pps_pb2.JobState
DATUM = pps_pb2.DatumState
# Copies whatever the datum was given.
COPY = "cp -r /pfs/in/. /pfs/out/"


def states(project: Project, pipeline: str, job: str) -> dict[str, int]:
    """State by the file that a datum was given."""
    listed = project.client.list_datum(pipeline, job, project_name=project.name)
    return {info.data[0].file.path: info.state for info in listed}


def test_a_job_is_made_at_once_and_has_a_datum_a_file(project: Project) -> None:
    project.put({"/a": b"1", "/b": b"2"})
    project.pipeline("copy", COPY)
    job = project.newest("copy")
    assert job.state == JOB.JOB_SUCCESS
    assert (job.data_total, job.data_processed, job.data_skipped) == (2, 2, 0)
    assert project.output("copy", job.job.id) == {"/a": b"1", "/b": b"2"}


def test_a_pipeline_without_data_has_a_job_that_succeeds(project: Project) -> None:
    project.pipeline("copy", COPY)
    job = project.newest("copy")
    assert (job.state, job.data_total) == (JOB.JOB_SUCCESS, 0)


def test_a_commit_wakes_all_that_is_downstream_as_one_commit_set(project: Project) -> None:
    project.pipeline("first", COPY)
    project.pipeline("second", "cp -r /pfs/first/. /pfs/out/", inputs=project.files("first"))
    commit = project.put({"/a": b"1"})
    jobs = list(project.client.inspect_job(commit, wait=True))
    assert {job.job.pipeline.name for job in jobs} == {"first", "second"}
    assert all(job.state == JOB.JOB_SUCCESS for job in jobs)
    assert project.output("second", commit) == {"/a": b"1"}


def test_two_heads_moved_in_one_transaction_make_one_job_of_its_id(project: Project) -> None:
    project.client.create_repo("other", project_name=project.name)
    first, second = project.put({"/a": b"1"}, branch="b1"), project.put({"/x": b"2"}, repo="other", branch="b2")
    inputs = pps_pb2.Input(cross=[project.files("in"), project.files("other")])
    project.pipeline("both", "cat /pfs/in/* /pfs/other/* > /pfs/out/joined", inputs=inputs)
    with project.client.transaction() as transaction:
        for repo, commit in (("in", first), ("other", second)):
            head = commit_of(project.name, repo, commit)
            project.client.create_branch(repo, "master", head, project_name=project.name)
    job = project.newest("both")
    assert job.job.id == transaction.id
    assert project.output("both", job.job.id) == {"/joined": b"12"}


def test_the_environment_is_pachyderms(project: Project) -> None:
    commit = project.put({"/a": b"1"})
    project.pipeline("env", "env", env={"MINE": "yes"})
    job = project.newest("env")
    said = dict(line.partition("=")[::2] for line in project.lines("env", job.job.id))
    assert said["in"] == "/pfs/in/a"
    assert said["in_COMMIT"] == commit
    assert said["PACH_JOB_ID"] == said["PACH_OUTPUT_COMMIT_ID"] == job.job.id
    assert len(said["PACH_DATUM_ID"]) == 64
    assert said["MINE"] == "yes"


def test_what_was_done_before_is_skipped_and_what_vanished_is_gone(project: Project) -> None:
    project.put({"/a": b"1", "/b": b"2"})
    project.pipeline("copy", COPY)
    project.newest("copy")
    project.put({"/a": b"1", "/c": b"3"})
    job = project.newest("copy")
    assert states(project, "copy", job.job.id) == {"/a": DATUM.SKIPPED, "/c": DATUM.SUCCESS}
    assert project.output("copy", job.job.id) == {"/a": b"1", "/c": b"3"}


def test_changed_content_is_done_again(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    project.newest("copy")
    project.put({"/a": b"2"})
    job = project.newest("copy")
    assert job.data_processed == 1
    assert project.output("copy", job.job.id) == {"/a": b"2"}


def test_a_failing_datum_fails_the_job_and_what_is_downstream_cannot_run(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("fails", "echo last words >&2", "exit 3")
    project.pipeline("after", COPY, inputs=project.files("fails"))
    job = project.newest("fails")
    assert job.state == JOB.JOB_FAILURE
    assert "failed: exit code 3" in job.reason
    assert project.lines("fails", job.job.id) == ["last words"]
    [commit] = project.client.inspect_commit(commit_of(project.name, "fails", job.job.id), pfs_pb2.CommitState.FINISHED)
    assert commit.error == job.reason
    assert project.newest("after").state == JOB.JOB_UNRUNNABLE


def test_a_datum_is_tried_as_often_as_it_may_be(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("fails", "echo once", "false", datum_tries=3)
    job = project.newest("fails")
    assert project.lines("fails", job.job.id) == ["once"] * 3


def test_err_cmd_recovers_a_datum_and_the_others_go_on(project: Project) -> None:
    project.put({"/bad": b"1", "/good": b"2"})
    script = ("test ! -e /pfs/in/bad", COPY)
    project.pipeline("some", *script, err_cmd=["true"])
    job = project.newest("some")
    assert job.state == JOB.JOB_SUCCESS
    assert (job.data_recovered, job.data_processed) == (1, 1)
    assert project.output("some", job.job.id) == {"/good": b"2"}
    # A recovered datum was not done: the next job tries it again.
    project.put({"/bad": b"1", "/good": b"2", "/new": b"3"})
    again = project.newest("some")
    assert states(project, "some", again.job.id) == {
        "/bad": DATUM.RECOVERED,
        "/good": DATUM.SKIPPED,
        "/new": DATUM.SUCCESS,
    }


def test_other_return_codes_may_be_accepted(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("odd", "exit 7", accept_return_code=[7])
    assert project.newest("odd").state == JOB.JOB_SUCCESS


def test_two_datums_that_write_one_file_fail(project: Project) -> None:
    project.put({"/a": b"1", "/b": b"2"})
    project.pipeline("clash", "cat /pfs/in/* > /pfs/out/same")
    job = project.newest("clash")
    assert job.state == JOB.JOB_FAILURE
    assert "/same" in job.reason


@pytest.mark.parametrize("script", ["mkfifo /pfs/out/pipe", "touch '/pfs/out/a*b'", "ln -s /etc/passwd /pfs/out/link"])
def test_output_that_cannot_be_kept_fails_with_its_name(project: Project, script: str) -> None:
    project.put({"/a": b"1"})
    project.pipeline("odd", script)
    job = project.newest("odd")
    assert job.state == JOB.JOB_FAILURE
    assert "/pipe" in job.reason or "a*b" in job.reason or "/link" in job.reason


def test_links_within_output_and_to_inputs_are_kept_as_what_they_lead_to(project: Project) -> None:
    project.put({"/d/a": b"1"})
    project.pipeline(
        "links", "mkdir /pfs/out/x; echo mine > /pfs/out/x/f; ln -s x/f /pfs/out/l; ln -s /pfs/in/d/a /pfs/out/i"
    )
    job = project.newest("links")
    assert job.state == JOB.JOB_SUCCESS, job.reason
    assert project.output("links", job.job.id) == {"/x/f": b"mine\n", "/l": b"mine\n", "/i": b"1"}


def test_a_stopped_job_is_killed_with_its_reason(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("long", "echo begun", "sleep 600")
    job = project.newest("long", wait=False)
    _await_line(project, "long", job.job.id)
    project.client.stop_job(job.job.id, "long", "enough", project_name=project.name)
    ended = project.newest("long")
    assert (ended.state, ended.reason) == (JOB.JOB_KILLED, "enough")
    with pytest.raises(grpc.RpcError, match="has already finished"):
        project.client.stop_job(job.job.id, "long", project_name=project.name)


def test_an_update_kills_what_runs_and_skips_what_was_done(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    project.newest("copy")
    project.pipeline("copy", "exit 1", update=True)
    job = project.newest("copy")
    assert (job.pipeline_version, job.state, job.data_skipped) == (2, JOB.JOB_SUCCESS, 1)
    project.pipeline("copy", "echo other > /pfs/out/o", update=True, reprocess=True)
    assert project.output("copy", project.newest("copy").job.id) == {"/o": b"other\n"}


def test_a_stopped_pipeline_makes_no_jobs_until_it_is_started(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    first = project.newest("copy").job.id
    project.client.stop_pipeline("copy", project_name=project.name)
    project.put({"/b": b"2"})
    assert project.newest("copy").job.id == first
    [info] = project.client.inspect_pipeline("copy", project_name=project.name)
    assert info.state == pps_pb2.PipelineState.PIPELINE_PAUSED
    project.client.start_pipeline("copy", project_name=project.name)
    assert project.output("copy", project.newest("copy").job.id) == {"/b": b"2"}


def test_what_runs_in_a_pipeline_that_is_stopped_is_killed(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("long", "sleep 60")
    job = project.newest("long", wait=False).job.id
    project.client.stop_pipeline("long", project_name=project.name)
    ended = project.newest("long")
    assert (ended.job.id, ended.state) == (job, JOB.JOB_KILLED)
    assert "pipeline was stopped" in ended.reason


def test_a_deleted_pipeline_leaves_nothing(project: Project, engine: Engine) -> None:
    project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    job = project.newest("copy")
    logs = engine.home / "pachd" / "logs"
    assert [*logs.glob(f"{job.job.id}*")]
    project.client.delete_pipeline("copy", project_name=project.name)
    assert not [*logs.glob(f"{job.job.id}*")]
    for ask in (
        lambda: list(project.client.inspect_pipeline("copy", project_name=project.name)),
        lambda: list(project.client.inspect_job(job.job.id, "copy", project_name=project.name)),
        lambda: project.client.inspect_repo("copy", project_name=project.name),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            ask()
        assert is_code(refused.value, grpc.StatusCode.NOT_FOUND)
    project.client.delete_pipeline("copy", project_name=project.name)


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"inputs": pps_pb2.Input()}, grpc.StatusCode.UNKNOWN, "no input set"),
        (
            {"inputs": pps_pb2.Input(cron=pps_pb2.CronInput(name="c", spec="@daily"))},
            grpc.StatusCode.UNIMPLEMENTED,
            "cron",
        ),
        ({"resource_limits": pps_pb2.ResourceSpec(memory="lots")}, grpc.StatusCode.INVALID_ARGUMENT, "memory"),
        ({"egress": pps_pb2.Egress(URL="s3://x")}, grpc.StatusCode.UNIMPLEMENTED, "egress"),
    ],
)
def test_a_pipeline_that_can_not_be_is_refused(project: Project, spec: Any, code: Any, words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        project.pipeline("bad", "true", **spec)
    assert is_code(refused.value, code)
    assert words in str(refused.value)


def test_a_pipeline_of_that_name_or_without_its_repo_is_refused(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    with pytest.raises(grpc.RpcError) as there:
        project.pipeline("copy", COPY)
    assert is_code(there.value, grpc.StatusCode.ALREADY_EXISTS)
    with pytest.raises(grpc.RpcError) as missing:
        project.pipeline("other", COPY, inputs=project.files("nothing"))
    assert is_code(missing.value, grpc.StatusCode.NOT_FOUND)


def test_what_asks_for_more_than_the_machine_has_fails_at_once(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("huge", COPY, resource_limits=pps_pb2.ResourceSpec(cpu=10_000))
    job = project.newest("huge")
    assert job.state == JOB.JOB_FAILURE
    assert "10000 cores are asked for" in job.reason


def test_an_unknown_image_fails_the_job_with_a_sentence(project: Project) -> None:
    project.put({"/a": b"1"})
    project.image = "gone@sha256:" + "0" * 64
    project.pipeline("gone", COPY)
    job = project.newest("gone")
    assert job.state == JOB.JOB_FAILURE
    assert "no image" in job.reason


def test_jobs_are_listed_newest_first_and_by_their_input(project: Project) -> None:
    first = project.put({"/a": b"1"})
    project.pipeline("copy", COPY)
    project.newest("copy")
    project.put({"/a": b"2"})
    project.newest("copy")
    listed = list(project.client.list_job("copy", project_name=project.name))
    assert len(listed) == 2
    assert listed[0].created.ToNanoseconds() > listed[1].created.ToNanoseconds()
    of_first = list(project.client.list_job("copy", commit_of(project.name, "in", first), project_name=project.name))
    assert [job.job.id for job in of_first] == [listed[1].job.id]


def _await_line(project: Project, pipeline: str, job: str) -> None:
    """Returns when the job has said something."""
    for message in project.client.get_job_logs(pipeline, job, project_name=project.name, follow=True):
        if message.user:
            return


def test_a_datum_is_restarted(project: Project) -> None:
    project.put({"/a": b"1", "/b": b"2"})
    project.pipeline(
        "long", "echo begun $(ls /pfs/in)", "sleep 600", parallelism_spec=pps_pb2.ParallelismSpec(constant=2)
    )
    job = project.newest("long", wait=False).job.id
    said: list[str] = []
    for message in project.client.get_job_logs("long", job, project_name=project.name, follow=True):
        if message.user:
            said.append(message.message)
            if len(said) == 2:
                project.client.restart_datum("long", job, data_filters=["/b"], project_name=project.name)
            if len(said) == 3:
                break
    assert sorted(said) == ["begun a", "begun b", "begun b"]
    project.client.stop_job(job, "long", project_name=project.name)
    with pytest.raises(grpc.RpcError) as over:
        project.client.restart_datum("long", job, data_filters=["/b"], project_name=project.name)
    assert is_code(over.value, grpc.StatusCode.NOT_FOUND)
