"""Logs: every line once and in order, live and afterwards."""

from tests.integration.pps.conftest import Project


def test_following_from_the_start_tells_the_same_as_reading_afterwards(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("says", "for i in 1 2 3; do echo $i; sleep 0.05; done")
    job = project.newest("says", wait=False).job.id
    followed = project.lines("says", job, follow=True)
    assert followed == ["1", "2", "3"]
    assert project.lines("says", job) == followed
    assert project.lines("says", job, tail=1) == [] or project.lines("says", job, tail=2)[-1] == "3"


def test_what_is_no_text_becomes_text_and_a_long_line_pieces(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("odd", r"printf '\377\001ok\n'", "head -c 40000 /dev/zero | tr '\\0' x", "printf '\nlast'")
    job = project.newest("odd").job.id
    lines = project.lines("odd", job)
    assert lines[0] == "\\xff\x01ok"
    assert [len(line) for line in lines[1:-1]] == [16384, 16384, 40000 - 2 * 16384]
    assert lines[-1] == "last"


def test_the_engine_tells_what_an_attempt_cost(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("costs", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    job = project.newest("costs").job.id
    logs = project.client.get_job_logs("costs", job, project_name=project.name)
    [told] = [message.message for message in logs if not message.user]
    assert '"datum": "success"' in told
    assert '"cpu_seconds": null' not in told


def test_what_a_recovered_attempt_died_of_is_told_and_its_handler_is_not(project: Project) -> None:
    project.put({"/a": b"1"})
    project.pipeline("fails", "exit 3", err_cmd=["true"])
    job = project.newest("fails").job.id
    logs = project.client.get_job_logs("fails", job, project_name=project.name)
    [told] = [message.message for message in logs if not message.user]
    assert '"datum": "failed", "reason": "exit code 3"' in told
