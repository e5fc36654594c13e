"""A worker's death costs an attempt; cancelling takes a step; the idle worker ends. The worker is a fake."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from sfumato.requests import Txt2Img
from sfumato.service import wire
from sfumato.service.bus import Bus, Event
from sfumato.service.dispatch import Dispatcher, died
from sfumato.service.jobs import Job, Jobs, State
from tests.service.conftest import FAKE

FOX = Txt2Img.build(prompt="a fox", steps=4, seed=3)


def played(jobs: Jobs, folder: Path, scene: Callable[[Dispatcher], Awaitable[None]], idle: float = 60) -> None:
    """Run a scene beside a dispatcher."""

    async def stage() -> None:
        dispatcher = Dispatcher(jobs, folder, Bus(), idle=idle, command=FAKE)
        running = asyncio.create_task(dispatcher.run())
        try:
            await asyncio.wait_for(scene(dispatcher), 120)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(stage())


async def ended(dispatcher: Dispatcher, id: str) -> Job:
    while dispatcher.jobs.get(id).open or id in dispatcher.lives:
        await asyncio.sleep(0.01)
    return dispatcher.jobs.get(id)


def test_jobs_are_painted_and_watched(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        with dispatcher.bus.listening() as queue:
            job = await ended(dispatcher, jobs.submit(FOX.changed(count=2))[0].id)
            events: list[Event] = [queue.get_nowait() for _ in range(queue.qsize())]
        assert (job.state, job.attempts, [each.seed for each in job.pictures]) == ("done", 1, [3, 4])
        assert all((tmp_path / "pictures" / job.id / each.name).is_file() for each in job.pictures)
        kinds = [event.kind for event in events]
        assert kinds[0] == kinds[-1] == "state"
        assert (kinds.count("progress"), kinds.count("picture")) == (8, 2)
        assert [e.data["share"] for e in events if e.kind == "progress"] == [i / 8 for i in range(1, 9)]
        assert json.loads(job.request)["width"] == 16
        assert jobs.estimate(FOX) is not None
        assert dispatcher.peak == 1000

    played(jobs, tmp_path, scene)


def test_a_crash_costs_one_attempt_and_no_other_job(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        once, always = (jobs.submit(FOX.changed(prompt=said))[0].id for said in ("crash once", "crash"))
        other = jobs.submit(FOX)[0].id
        dispatcher.wake()
        found = [await ended(dispatcher, id) for id in (once, always, other)]
        assert [(job.state, job.attempts) for job in found] == [("done", 2), ("failed", 3), ("done", 1)]
        assert found[1].reason is not None
        assert "SIGKILL, as the system does when memory is short, at each of 3 attempts" in found[1].reason
        assert dispatcher.crashes == 4

    played(jobs, tmp_path, scene)


def test_jobs_keep_company_in_turn(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        said = FOX.changed(prompt="slow room")
        asked = [said, said.changed(seed=9, steps=8), said.changed(width=64), said]
        ids = [jobs.submit(each)[0].id for each in asked]
        dispatcher.wake()
        seen = set()
        while jobs.get(ids[-1]).open:
            seen.add(tuple(ids.index(id) for id in dispatcher.lives))
            await asyncio.sleep(0.005)
        assert (0, 1) in seen
        assert seen <= {(), (0,), (0, 1), (1,), (2,), (3,)}  # another size waits, and is not overtaken by the last
        assert [jobs.get(id).attempts for id in ids] == [1] * 4

    played(jobs, tmp_path, scene)


def test_a_crash_costs_its_company_one_attempt(jobs: Jobs, tmp_path: Path) -> None:
    """After it each is painted by itself, so that only the one that it came from fails."""

    async def scene(dispatcher: Dispatcher) -> None:
        crash, other = (jobs.submit(FOX.changed(prompt=f"slow room{said}"))[0].id for said in (" crash", ""))
        dispatcher.wake()
        assert [(await ended(dispatcher, id)).attempts for id in (crash, other)] == [3, 2]
        assert (jobs.get(crash).state, jobs.get(other).state) == ("failed", "done")

    played(jobs, tmp_path, scene)


def test_what_the_worker_refuses_is_not_tried_again(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        job = await ended(dispatcher, jobs.submit(FOX.changed(prompt="fail"))[0].id)
        assert (job.state, job.attempts, job.reason) == ("failed", 1, "the prompt asks for it")

    played(jobs, tmp_path, scene)


def test_cancelling_takes_a_step(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        with dispatcher.bus.listening() as queue:
            id = jobs.submit(FOX.changed(prompt="slow", steps=1000))[0].id
            while (await queue.get()).kind != "progress":
                pass
            await dispatcher.cancel(id)
            assert (await ended(dispatcher, id)).state == "cancelled"
            assert sum(queue.get_nowait().kind == "progress" for _ in range(queue.qsize())) <= 2

    played(jobs, tmp_path, scene)


def test_the_idle_worker_ends_and_comes_back(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        for _ in range(2):
            id = jobs.submit(FOX)[0].id
            dispatcher.wake()
            await ended(dispatcher, id)
            while dispatcher.worker is not None:
                await asyncio.sleep(0.01)

    played(jobs, tmp_path, scene, idle=0.05)


def test_a_worker_that_died_between_jobs_costs_nothing(jobs: Jobs, tmp_path: Path) -> None:
    async def scene(dispatcher: Dispatcher) -> None:
        await ended(dispatcher, jobs.submit(FOX)[0].id)
        assert dispatcher.worker is not None
        os.kill(dispatcher.worker, signal.SIGKILL)
        await asyncio.sleep(0.3)
        id = jobs.submit(FOX)[0].id
        dispatcher.wake()
        assert (await ended(dispatcher, id)).attempts == 1

    played(jobs, tmp_path, scene)


def test_the_end_of_the_service_gives_the_job_back(jobs: Jobs, tmp_path: Path) -> None:
    id = ""

    async def scene(dispatcher: Dispatcher) -> None:
        nonlocal id
        id = jobs.submit(FOX.changed(prompt="slow", steps=1000))[0].id
        while dispatcher.live is None or not dispatcher.live.total:
            await asyncio.sleep(0.01)

    played(jobs, tmp_path, scene)
    assert (jobs.get(id).state, jobs.get(id).attempts) == ("queued", 0)


def test_a_full_disk_costs_no_job_and_no_restart(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of a job cannot be written down twice; with room again it is painted anew, and this costs no attempt."""
    finish, refused = jobs.finish, iter([True, True, False])

    def full(id: str, state: State, **facts: object) -> Job:
        if next(refused):
            raise OperationalError("UPDATE", {}, Exception("database or disk is full"))
        return finish(id, state, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "finish", full)
    monkeypatch.setattr("sfumato.service.dispatch._PAUSE", 0.01)

    async def scene(dispatcher: Dispatcher) -> None:
        job = await ended(dispatcher, jobs.submit(FOX)[0].id)
        assert (job.state, job.attempts) == ("done", 1)

    played(jobs, tmp_path, scene)
    assert capsys.readouterr().err.count("database or disk is full; trying again") == 2


def test_why_a_worker_died() -> None:
    assert died(-signal.SIGSEGV) == "the worker was ended by SIGSEGV"
    assert died(1) == "the worker ended with exit code 1"


# ------------------------------------------------------------------------------------------------------ the messages


def test_messages_are_read_as_they_were_written(tmp_path: Path) -> None:
    said = {"do": "paint", "prompt": "狐狸\n", "seed": 2**64 - 1}
    file = tmp_path / "pipe"
    with file.open("wb") as stream:
        wire.write(stream, said)
        wire.write(stream, {})
    with file.open("rb") as stream:
        assert [wire.read(stream) for _ in range(3)] == [said, {}, None]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0", "cut short in its length"),
        (b"\xff\0\0\0", "4278190080 bytes is announced"),
        (b"\0\0\0\5{}", "cut short after 2"),
        (b"\0\0\0\2{]", "no JSON"),
        (b"\0\0\0\2[]", "no object"),
    ],
)
def test_what_is_no_message_is_named(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "pipe").write_bytes(data)
    with (tmp_path / "pipe").open("rb") as stream, pytest.raises(wire.WireError, match=said):
        wire.read(stream)


def test_a_message_has_a_largest_length() -> None:
    with pytest.raises(wire.WireError, match="at most 8388608 are sent"):
        wire.packed({"a": "x" * wire.MAX_MESSAGE})
