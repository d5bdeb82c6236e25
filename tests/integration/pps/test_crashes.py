"""After kill -9 of the engine every job ends once, and nothing that was done is done again."""

from python_pachyderm.proto.v2.pps import pps_pb2

from tests.integration.pps.conftest import Engine, project_of


def test_a_job_under_way_goes_on_with_what_is_left(own_engine: Engine) -> None:
    for project in project_of(own_engine):
        project.put({"/1": b"", "/2": b"", "/3": b""})
        # The second datum waits for ever at its first attempt: the engine's death is its end.
        project.pipeline(
            "steps",
            "name=$(ls /pfs/in)",
            "echo did $name",
            'if [ $name = 2 ] && [ "$TRAP" = on ]; then sleep 600; fi',
            "echo $name > /pfs/out/$name",
            env={"TRAP": "on"},
        )
        job = project.newest("steps", wait=False).job.id
        for message in project.client.get_job_logs("steps", job, project_name=project.name, follow=True):
            if message.message == "did 2":
                break
        own_engine.kill()
        own_engine.start()
        project.client = own_engine.client()
        lines = []
        for message in project.client.get_job_logs("steps", job, project_name=project.name, follow=True):
            if message.user:
                lines.append(message.message)
                if lines.count("did 2") == 2:
                    break
        assert lines.count("did 1") == 1
        project.client.stop_job(job, "steps", project_name=project.name)
        ended = project.newest("steps")
        assert (ended.state, ended.restart) == (pps_pb2.JobState.JOB_KILLED, 1)


def test_finished_work_is_there_after_a_kill(own_engine: Engine) -> None:
    for project in project_of(own_engine):
        project.put({"/a": b"1"})
        project.pipeline("copy", "cp /pfs/in/a /pfs/out/b")
        job = project.newest("copy").job.id
        own_engine.kill()
        own_engine.start()
        project.client = own_engine.client()
        assert project.output("copy", job) == {"/b": b"1"}
        again = project.newest("copy")
        assert (again.job.id, again.restart) == (job, 0)
