"""The queue: states, order, limits, keys, and that what is written stays; in both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sfumato.errors import UnknownNameError
from sfumato.requests import Txt2Img
from sfumato.service.database import Database
from sfumato.service.jobs import MOST_ATTEMPTS, SKETCH, Jobs, Picture, QueueFullError, StateError, UsedKeyError

FOX = Txt2Img.build(prompt="a fox", steps=4, seed=3)


Opened = Callable[..., Jobs]


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Opens the queue of one database, also without closing it before, as after ``kill -9``."""
    found: list[Jobs] = []

    def open_(limit: int = 32) -> Jobs:
        found.append(Jobs(Database(url), limit=limit))
        return found[-1]

    yield open_
    for each in found:
        each.close()


@pytest.fixture
def jobs(opened: Opened) -> Jobs:
    return opened(4)


def prompts(jobs: Jobs) -> list[str]:
    return [Txt2Img.from_json(job.request).prompt for job in jobs.order()]


def fox(name: str) -> Txt2Img:
    return FOX.changed(prompt=name)


def test_a_job_goes_its_way(jobs: Jobs) -> None:
    job, new = jobs.submit(FOX)
    assert new
    assert (job.state, job.attempts, job.pictures) == ("queued", 0, ())
    claimed = jobs.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (job.id, "running", 1)
    assert jobs.claim() is None
    picture = Picture(0, 2**64 - 1, "0001.png", 64, 64)
    jobs.painted(job.id, [picture])
    jobs.painted(job.id, [picture])
    report = {"request": FOX.changed(steps=7).model_dump(mode="json"), "seeds": [3]}
    done = jobs.finish(job.id, "done", report=report)
    assert done.pictures == (picture,)
    assert Txt2Img.from_json(done.request).steps == 7
    assert done.report == {"seeds": [3]}
    assert jobs.counts() == {"done": 1}


def test_a_seed_is_drawn_once_so_that_every_attempt_paints_the_same(jobs: Jobs) -> None:
    job, _ = jobs.submit(FOX.changed(seed=None))
    seed = Txt2Img.from_json(job.request).seed
    assert seed is not None
    jobs.claim()
    assert Txt2Img.from_json(jobs.crashed(job.id, "it fell").request).seed == seed


def test_what_was_acknowledged_is_there_after_a_restart(opened: Opened) -> None:
    first = opened()
    waiting, running = first.submit(fox("waiting"))[0], first.submit(fox("running"), priority=1)[0]
    claimed = first.claim()
    assert claimed is not None
    assert claimed.id == running.id
    second = opened()  # without closing the first, as after kill -9
    assert [job.id for job in second.recover()] == [running.id]
    assert second.get(waiting.id).state == "queued"
    assert (second.get(running.id).state, second.get(running.id).attempts) == ("queued", 1)


def test_nothing_of_a_sketch_outlives_the_service(opened: Opened) -> None:
    first = opened()
    kept, sketch = first.submit(fox("kept"))[0], first.submit(fox("sketch"), dialect=SKETCH, priority=1)[0]
    first.claim()
    first.painted(sketch.id, [Picture(0, 1, "0.jpg", 16, 16)])
    second = opened()
    assert second.forget_sketches() == [sketch.id]
    assert [job.id for job in second.order()] == [kept.id]
    with pytest.raises(UnknownNameError):
        second.get(sketch.id)


def test_a_job_whose_worker_always_dies_fails_with_its_reason(jobs: Jobs) -> None:
    job, _ = jobs.submit(FOX)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert jobs.get(job.id).state == "queued"
        assert jobs.claim() is not None
        assert jobs.crashed(job.id, "the worker was ended by SIGKILL").attempts == attempt
    assert jobs.get(job.id).state == "failed"
    assert jobs.get(job.id).reason == "the worker was ended by SIGKILL, at each of 3 attempts"
    again = jobs.retry(job.id)
    assert (again.state, again.attempts, again.reason) == ("queued", 0, None)


def test_an_orderly_end_costs_no_attempt(jobs: Jobs) -> None:
    job, _ = jobs.submit(FOX)
    jobs.claim()
    jobs.give_back(job.id)
    assert (jobs.get(job.id).state, jobs.get(job.id).attempts) == ("queued", 0)
    jobs.cancel(job.id)
    jobs.give_back(job.id)
    assert jobs.get(job.id).state == "cancelled"


def test_cancelling(jobs: Jobs) -> None:
    job, _ = jobs.submit(FOX)
    assert jobs.cancel(job.id).state == "cancelled"
    assert jobs.claim() is None
    other, _ = jobs.submit(FOX)
    jobs.claim()
    assert (jobs.cancel(other.id).state, jobs.cancel(other.id).cancelling) == ("running", True)
    assert jobs.crashed(other.id, "it fell").state == "cancelled"
    with pytest.raises(StateError, match="is queued; only failed and cancelled"):
        jobs.retry(jobs.submit(FOX)[0].id)
    with pytest.raises(UnknownNameError, match="unknown job 'none'"):
        jobs.cancel("none")


def test_jobs_and_the_queue_are_paused(opened: Opened) -> None:
    jobs = opened(4)
    first, second = (jobs.submit(fox(name))[0] for name in ("first", "second"))
    assert (jobs.pause(first.id).state, jobs.pause(first.id).open) == ("paused", True)
    claimed = jobs.claim()
    assert claimed is not None
    assert claimed.id == second.id
    assert jobs.claim() is None
    with pytest.raises(StateError, match="is running; only jobs that wait are paused"):
        jobs.pause(second.id)
    jobs.submit(fox("third"))
    jobs.hold(True)
    again = opened()
    assert again.held
    assert again.claim() is None
    again.hold(False)
    assert again.resume(first.id).state == "queued"
    claimed = again.claim()
    assert claimed is not None
    assert claimed.id == first.id
    assert again.cancel(again.pause(again.submit(fox("fourth"))[0].id).id).state == "cancelled"


def test_paused_jobs_have_their_place_in_the_limit(jobs: Jobs) -> None:
    for _ in range(4):
        jobs.pause(jobs.submit(FOX)[0].id)
    with pytest.raises(QueueFullError):
        jobs.submit(FOX)


def test_the_queue_has_an_end(jobs: Jobs) -> None:
    for _ in range(4):
        jobs.submit(FOX)
    with pytest.raises(QueueFullError, match="4 jobs wait; come back in") as full:
        jobs.submit(FOX)
    assert full.value.retry_after >= 1
    jobs.claim()
    jobs.submit(FOX)


def test_a_key_is_one_job(jobs: Jobs) -> None:
    asked = FOX.changed(seed=None)
    job, _ = jobs.submit(asked, client="a", key="k")
    assert jobs.submit(asked, client="a", key="k") == (job, False)
    assert jobs.submit(asked, client="b", key="k")[1]
    with pytest.raises(UsedKeyError, match="'k' was for another request"):
        jobs.submit(FOX, client="a", key="k")


def test_equal_requests_are_found_again(jobs: Jobs) -> None:
    asked = FOX.changed(seed=None)
    job, _ = jobs.submit(asked, dialect="openai")
    place = {"dialect": "openai", "format": "png", "quality": None}
    assert jobs.same(asked, since=0, **place) == job  # type: ignore[arg-type]
    assert jobs.same(FOX, since=0, **place) is None  # type: ignore[arg-type]
    assert jobs.same(asked, since=job.created + 1, **place) is None  # type: ignore[arg-type]
    jobs.cancel(job.id)
    assert jobs.same(asked, since=0, **place) is None  # type: ignore[arg-type]


def test_clients_take_turns(opened: Opened) -> None:
    jobs = opened()
    for i in range(3):
        jobs.submit(fox(f"a{i}"), client="a")
    for i in range(2):
        jobs.submit(fox(f"b{i}"), client="b")
    assert prompts(jobs) == ["a0", "b0", "a1", "b1", "a2"]
    jobs.claim()
    jobs.submit(fox("a3"), client="a")
    assert prompts(jobs) == ["b0", "a1", "b1", "a2", "a3"]
    urgent, _ = jobs.submit(fox("b2"), client="b", priority=5)
    assert prompts(jobs)[0] == "b2"
    jobs.prefer(urgent.id, -1)
    assert prompts(jobs)[-1] == "b2"


def test_time_left_is_measured(jobs: Jobs) -> None:
    assert jobs.estimate(FOX) is None
    exact = FOX.changed(width=64, height=64, sampler="euler")
    jobs.measured(exact, 2.0, 4)
    assert jobs.estimate(exact) == pytest.approx(2.0)
    assert jobs.estimate(FOX) == pytest.approx(2.0)
    assert jobs.estimate(exact.changed(steps=8, count=3)) == pytest.approx(12.0)
    assert jobs.estimate(exact.changed(width=128)) == pytest.approx(4.0)
    assert jobs.estimate(exact.changed(model="other")) is None
    jobs.measured(exact, 4.0, 4)
    assert jobs.estimate(exact) == pytest.approx(3.0)


def test_lists_are_paged(jobs: Jobs) -> None:
    ids = [jobs.submit(fox(str(i)))[0].id for i in range(4)]
    newest = jobs.listed(limit=3)
    assert [job.id for job in newest] == ids[:0:-1]
    assert [job.id for job in jobs.listed(before=newest[-1].number)] == ids[:1]
    jobs.cancel(ids[2])
    assert [job.id for job in jobs.listed(state="cancelled")] == [ids[2]]


def test_settings_are_kept(opened: Opened) -> None:
    opened().set("sd_model_checkpoint", "nano")
    jobs = opened()
    jobs.set("sd_model_checkpoint", "other")
    assert jobs.settings() == {"sd_model_checkpoint": "other"}


def test_the_database_is_as_durable_as_sqlite_can_be(tmp_path: Path) -> None:
    with Jobs.in_folder(tmp_path)._begin() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]
