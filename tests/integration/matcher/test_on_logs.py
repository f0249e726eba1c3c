"""The matcher on real logs: PostgreSQL and Apache Kafka. Topics may hold what other tests left: each test looks at its own content."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest

from services.matcher.consumer.partitions import GROUP
from services.matcher.consumer.worker import Matcher
from services.matcher.state.files import StateFiles
from shared.contracts.content import Assurance, ContentState
from shared.contracts.dead_letters import MODELS as DEAD_LETTER_MODELS
from shared.contracts.dead_letters import DeadLetter
from shared.contracts.event import decode
from shared.contracts.matches import Guard, SightingUnmatched
from shared.contracts.topics import CONTENT, DEAD_LETTERS, SIGHTINGS, TOPICS
from shared.ids import match_event_id, takedown_id
from shared.log.port import EventLog, OutgoingRecord, Publisher
from shared.media.fingerprints import Orientation, derive_orientations
from shared.policy import Policy
from tests.contract.log_harness import Harness, kafka_harness, postgres_harness, read_all
from tests.matcher_world import (
    CountedLog,
    MatchesSeen,
    content,
    content_record,
    erasure_record,
    near,
    negative_entry,
    negative_record,
    registered,
    running_matcher,
    seen_value,
    sighting,
    sightings_record,
    until,
    watch_matches,
)


@pytest.fixture(params=["postgres", "kafka"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with AsyncExitStack() as stack:
        opened: Harness
        if request.param == "postgres":
            opened = await stack.enter_async_context(postgres_harness(request.getfixturevalue("fresh_database")))
        else:
            opened = await stack.enter_async_context(kafka_harness(request.getfixturevalue("kafka_bootstrap")))
        await opened.log.ensure_topics(TOPICS)
        yield opened


@pytest.fixture
async def publisher(harness: Harness) -> AsyncIterator[Publisher]:
    async with harness.log.publisher() as opened:
        yield opened


def a_url() -> str:
    return f"https://{uuid4()}.test/picture.jpg"


async def test_whichever_comes_second_finds_the_first(harness: Harness, publisher: Publisher) -> None:
    picture, content_id = random.randbytes(32), uuid4()
    before = sighting(a_url(), seen_value(near(picture, 20)))
    after = sighting(a_url(), seen_value(near(picture, 31), orientation="mirror"), page_url="https://b.test/")
    far = sighting(a_url(), seen_value(near(picture, 32)))
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        await publisher.publish([sightings_record(before)])
        await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
        await until(lambda: (content_id, before.sighting_id) in seen.pairs(), what="the old sighting")
        await publisher.publish([sightings_record(far), sightings_record(after)])
        await until(lambda: (content_id, after.sighting_id) in seen.pairs(), what="the new sighting")
    assert seen.sightings_of(content_id) == {before.sighting_id, after.sighting_id}
    match = next(one for one in seen.matches if one.sighting_id == after.sighting_id)
    assert (match.algorithm, match.distance, match.orientation, match.quality) == ("pdq", 31, "mirror", 90)
    assert (match.url, match.page_url) == (after.media_url, "https://b.test/")
    assert (match.target_kind, match.basis, match.observed_by) == ("media", "fingerprint", "crawler")
    assert match.takedown_id == takedown_id(content_id, "media", after.url_key)
    assert str(match_event_id(match.takedown_id, after.sighting_id)) in {event_id for event_id, _ in seen.events}


async def test_derived_orientations_of_the_named_sources_alone(harness: Harness, publisher: Publisher) -> None:
    picture, content_id = random.randbytes(32), uuid4()
    turned = seen_value(near(derive_orientations(picture)[Orientation.ROTATE90], 31))
    before, after, other = (sighting(a_url(), turned) for _ in range(3))
    other = other.model_copy(update={"source": "unnamed"})
    plain = sighting(a_url(), seen_value(picture)).model_copy(update={"source": "unnamed"})
    policy = Policy(derived_orientations_of=("crawler",))
    async with watch_matches(harness.log) as seen, running_matcher(harness.log, policy=policy):
        await publisher.publish([sightings_record(before)])
        await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
        await until(lambda: (content_id, before.sighting_id) in seen.pairs(), what="the old sighting")
        await publisher.publish([sightings_record(other), sightings_record(after), sightings_record(plain)])
        wanted = {before.sighting_id, after.sighting_id, plain.sighting_id}
        await until(lambda: seen.sightings_of(content_id) >= wanted, what="the new sightings")
    assert seen.sightings_of(content_id) == wanted
    facts = {one.sighting_id: (one.orientation, one.distance, one.guards) for one in seen.matches}
    found = ("derived:rotate270", 31, (Guard.DERIVED_ORIENTATION,))
    assert (facts[before.sighting_id], facts[after.sighting_id]) == (found, found)
    assert facts[plain.sighting_id] == ("identity", 0, ())


async def test_what_came_while_nobody_ran_is_matched(harness: Harness, publisher: Publisher) -> None:
    """Content and sightings before, between and after two processes that share no memory."""
    picture, content_id = random.randbytes(16), uuid4()
    first, second = (sighting(a_url(), seen_value(picture, "md5")) for _ in range(2))
    async with running_matcher(harness.log):
        await publisher.publish([sightings_record(first)])
    await publisher.publish([content_record(content(content_id, 1, registered(picture, "md5")))])
    await publisher.publish([sightings_record(second)])
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        await until(lambda: len(seen.sightings_of(content_id)) == 2, what="both sightings")
    assert {one.distance for one in seen.matches if one.content_id == content_id} == {0}


async def test_suspended_withdrawn_buried(harness: Harness, publisher: Publisher) -> None:
    """Neither suspended nor withdrawn content matches; what returns meets what was seen meanwhile."""
    values = [random.randbytes(32) for _ in range(3)]
    suspended, withdrawn, buried = (uuid4() for _ in values)
    ids = (suspended, withdrawn, buried)
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        for content_id, value in zip(ids, values, strict=True):
            await publisher.publish([content_record(content(content_id, 1, registered(value)))])
        stop = [
            content_record(content(suspended, 2, registered(values[0]), state=ContentState.SUSPENDED)),
            content_record(content(withdrawn, 2, state=ContentState.WITHDRAWN)),
            OutgoingRecord(topic=CONTENT.name, key=str(buried).encode(), value=None),
            content_record(content(withdrawn, 1, registered(values[1]))),  # comes late, is not applied
        ]
        marker, mark = uuid4(), random.randbytes(32)
        await publisher.publish([*stop, content_record(content(marker, 1, registered(mark)))])
        one = sighting(a_url(), *(seen_value(value) for value in (*values, mark)))
        marked = sighting(a_url(), seen_value(mark))
        await publisher.publish([sightings_record(marked)])
        await until(lambda: marker in {match.content_id for match in seen.matches}, what="the register is so far")
        await publisher.publish([sightings_record(one)])
        await until(lambda: (marker, one.sighting_id) in seen.pairs(), what="the sighting is matched")
        assert not {match.content_id for match in seen.matches} & set(ids)
        await publisher.publish([content_record(content(suspended, 3, registered(values[0])))])
        await until(lambda: (suspended, one.sighting_id) in seen.pairs(), what="the resumed content")
    assert not {match.content_id for match in seen.matches} & {withdrawn, buried}


async def test_an_erased_url_is_forgotten_until_seen_again(harness: Harness, publisher: Publisher) -> None:
    picture, content_id, url = random.randbytes(32), uuid4(), a_url()
    erased, again = sighting(url, seen_value(picture)), sighting(url, seen_value(picture))
    async with running_matcher(harness.log):
        await publisher.publish([sightings_record(erased)])
    await publisher.publish([erasure_record(url)])
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
        await publisher.publish([sightings_record(again)])
        await until(lambda: (content_id, again.sighting_id) in seen.pairs(), what="seen again")
    assert seen.sightings_of(content_id) == {again.sighting_id}


async def test_guards_and_the_best_of_several(harness: Harness, publisher: Publisher) -> None:
    picture, exact, content_id = random.randbytes(32), random.randbytes(32), uuid4()
    entry = content(
        content_id,
        1,
        registered(picture, max_distance=10, assurance=Assurance.UNSEEN),
        registered(exact, "sha256"),
    )
    cases = {
        "both": sighting(a_url(), seen_value(near(picture, 3)), seen_value(exact, "sha256")),
        "over": sighting(a_url(), seen_value(near(picture, 11))),
        "poor": sighting(a_url(), seen_value(near(picture, 4), quality=49)),
        "unknown": sighting(a_url(), seen_value(near(picture, 5), quality=None)),
        "nearest": sighting(a_url(), seen_value(near(picture, 9)), seen_value(near(picture, 2))),
    }
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        await publisher.publish([content_record(entry)])
        await publisher.publish([sightings_record(one) for one in cases.values()])
        await until(lambda: len(seen.sightings_of(content_id)) == len(cases), what="all sightings")
    found = {match.sighting_id: match for match in seen.matches if match.content_id == content_id}
    told = {name: found[one.sighting_id] for name, one in cases.items()}
    assert {name: (match.algorithm, match.distance, match.guards) for name, match in told.items()} == {
        "both": ("sha256", 0, ()),
        "over": ("pdq", 11, (Guard.OVER_THRESHOLD,)),
        "poor": ("pdq", 4, (Guard.LOW_QUALITY,)),
        "unknown": ("pdq", 5, (Guard.QUALITY_UNKNOWN,)),
        "nearest": ("pdq", 2, ()),
    }
    assert told["over"].assurance is Assurance.UNSEEN


async def test_the_negative_list_guards_until_an_entry_is_removed(harness: Harness, publisher: Publisher) -> None:
    """What is nearer to a harmless hash than to the content: in both orders, through a rebuild, and no more once it is removed."""
    picture, content_id = random.randbytes(32), uuid4()
    bits = random.sample(range(256), 32)

    def between(of_picture: int) -> bytes:
        """So many bits from the content, on the straight way to the harmless value 32 bits away."""
        return (int.from_bytes(picture) ^ sum(1 << bit for bit in bits[:of_picture])).to_bytes(32)

    entry = negative_entry(between(32))
    before, middle, near_content, after, later = (
        sighting(a_url(), seen_value(between(distance))) for distance in (20, 16, 15, 31, 31)
    )

    def guards_of(seen: MatchesSeen, sighting_id: UUID) -> set[tuple[Guard, ...]]:
        return {match.guards for match in seen.matches if match.sighting_id == sighting_id}

    async with watch_matches(harness.log) as seen:
        async with running_matcher(harness.log):
            await publisher.publish([negative_record(entry), sightings_record(before)])
            await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
            await publisher.publish([sightings_record(one) for one in (middle, near_content)])
            three = {before.sighting_id, middle.sighting_id, near_content.sighting_id}
            await until(lambda: three <= seen.sightings_of(content_id), what="the first three")
        async with running_matcher(harness.log):  # it has read the list from the log anew
            await publisher.publish([sightings_record(after)])
            await until(lambda: after.sighting_id in seen.sightings_of(content_id), what="after the rebuild")
            guarded = (before, after)
            for one in (*guarded, middle, near_content):
                expected = (Guard.NEGATIVE_LIST,) if one in guarded else ()
                assert guards_of(seen, one.sighting_id) == {expected}

            await publisher.publish([OutgoingRecord(topic=CONTENT.name, key=str(entry.entry_id).encode(), value=None)])
            marker, mark = uuid4(), random.randbytes(32)
            await publisher.publish([content_record(content(marker, 1, registered(mark)))])
            marked = sighting(a_url(), seen_value(mark))
            await publisher.publish([sightings_record(marked)])
            await until(lambda: marker in {match.content_id for match in seen.matches}, what="the register is so far")
            await publisher.publish([sightings_record(after), sightings_record(later)])
            await until(lambda: () in guards_of(seen, after.sighting_id), what="the same sighting, sent again")
            await until(lambda: later.sighting_id in seen.sightings_of(content_id), what="another sighting")
    assert guards_of(seen, later.sighting_id) == {()}
    told = [event_id for event_id, event in seen.events if getattr(event, "sighting_id", None) == after.sighting_id]
    assert len(set(told)) == 2  # the guarded telling has not used up the id of the other


async def test_a_reported_sighting_is_always_answered(harness: Harness, publisher: Publisher) -> None:
    picture, content_id, reports = random.randbytes(32), uuid4(), (uuid4(), uuid4())
    known = sighting(a_url(), seen_value(picture), report_id=reports[0])
    unknown = sighting(a_url(), seen_value(random.randbytes(32)), report_id=reports[1])
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
        mark = sighting(a_url(), seen_value(picture))
        await publisher.publish([sightings_record(mark)])
        await until(lambda: (content_id, mark.sighting_id) in seen.pairs(), what="the content is known")
        await publisher.publish([sightings_record(known), sightings_record(unknown)])
        await until(lambda: len(seen.reports() & set(reports)) == 2, what="both reports")
    unmatched = [event for _, event in seen.events if isinstance(event, SightingUnmatched)]
    assert [(one.sighting_id, one.report_id) for one in unmatched if one.report_id in reports] == [
        (unknown.sighting_id, reports[1])
    ]


async def test_a_poison_record_is_set_aside_and_the_next_is_matched(harness: Harness, publisher: Publisher) -> None:
    picture, content_id = random.randbytes(32), uuid4()
    one = sighting(a_url(), seen_value(picture))
    record = sightings_record(one)
    poison = OutgoingRecord(topic=SIGHTINGS.name, key=None, value=b"{}", partition=record.partition)
    async with watch_matches(harness.log) as seen, running_matcher(harness.log):
        (stood,) = await publisher.publish([poison])
        await publisher.publish([content_record(content(content_id, 1, registered(picture))), record])
        await until(lambda: (content_id, one.sighting_id) in seen.pairs(), what="the next record")
    letters = [
        decode(DEAD_LETTER_MODELS, value=letter.value, headers=letter.headers).event
        for letter in await read_all(harness.log, DEAD_LETTERS)
    ]
    assert [
        letter
        for letter in letters
        if isinstance(letter, DeadLetter)
        and (letter.group, letter.topic, letter.partition, letter.offset)
        == (GROUP, SIGHTINGS.name, record.partition, stood.offset)
    ]


async def test_two_share_the_partitions_and_one_goes(harness: Harness, publisher: Publisher) -> None:
    pictures = {uuid4(): random.randbytes(32) for _ in range(3)}
    batches = [[sighting(a_url(), seen_value(value)) for value in pictures.values() for _ in range(8)] for _ in "123"]
    async with watch_matches(harness.log) as seen, running_matcher(harness.log, member_id="one"):
        async with running_matcher(harness.another(), member_id="two", ready=False):
            await publisher.publish([sightings_record(one) for one in batches[0]])
            await publisher.publish(
                [content_record(content(content_id, 1, registered(value))) for content_id, value in pictures.items()]
            )
            await publisher.publish([sightings_record(one) for one in batches[1]])
        await publisher.publish([sightings_record(one) for one in batches[2]])
        expected = {one.sighting_id for batch in batches for one in batch}
        await until(lambda: expected <= {match.sighting_id for match in seen.matches}, what="all", seconds=60)


async def test_logs_made_anew_under_a_running_matcher(fresh_database: str) -> None:
    """Positions and commits of the old logs count as none on the new ones."""
    picture, content_id = random.randbytes(32), uuid4()
    async with postgres_harness(fresh_database) as harness:
        await harness.log.ensure_topics(TOPICS)
        async with running_matcher(harness.log) as matcher, harness.log.publisher() as publisher:
            for _ in range(5):
                await publisher.publish([sightings_record(sighting(a_url(), seen_value(random.randbytes(32))))])
                await publisher.publish([content_record(content(uuid4(), 1, registered(random.randbytes(32))))])
            for topic in (SIGHTINGS, CONTENT):
                await harness.delete(topic)
            await harness.log.ensure_topics(TOPICS)
            one = sighting(a_url(), seen_value(picture))
            async with watch_matches(harness.log) as seen:
                await publisher.publish([sightings_record(one)])
                await publisher.publish([content_record(content(content_id, 1, registered(picture)))])
                await until(lambda: (content_id, one.sighting_id) in seen.pairs(), what="the new logs", seconds=40)
                await until(lambda: not matcher.not_ready(), what="ready again")


def all_committed(matcher: Matcher) -> bool:
    """What is not is read again."""
    session = matcher._session
    owned = [] if session is None else session.owned.values()
    remembered = sum(len(one.history) for one in owned)
    positions = [(one.history.position, one.committed.sightings) for one in owned if one.committed is not None]
    return remembered >= 60 and len(positions) == len(owned) and all(here == there for here, there in positions)


async def test_a_restart_reads_the_files_and_not_the_log(
    harness: Harness, publisher: Publisher, tmp_path: Path
) -> None:
    """And with its files deleted it reads the log, says that it is not ready, and then knows as much."""
    values = [random.randbytes(32) for _ in range(3)]
    first, second, late = uuid4(), uuid4(), uuid4()
    old = [sighting(a_url(), seen_value(value), seen_value(random.randbytes(16), "md5")) for value in values * 10]
    files = StateFiles(folder=tmp_path / "state", kept=timedelta(days=180), head_entries=4)
    os.close(files.lock())
    async with watch_matches(harness.log) as seen, running_matcher(harness.log, state=files) as matcher:
        await publisher.publish([content_record(content(first, 1, registered(values[0])))])
        await publisher.publish([sightings_record(one) for one in old])
        await until(lambda: len(seen.sightings_of(first)) == 10, what="the sightings")
        await until(lambda: all_committed(matcher), what="all is committed")
    counted = CountedLog(harness.log)
    async with watch_matches(harness.log) as seen, running_matcher(cast(EventLog, counted), state=files):
        assert (counted.read[SIGHTINGS.name], counted.read[CONTENT.name]) == (0, 0)
        await publisher.publish([content_record(content(second, 1, registered(values[1])))])
        again = sighting(a_url(), seen_value(values[0]))
        await publisher.publish([sightings_record(again)])
        await until(lambda: len(seen.sightings_of(second)) == 10, what="what was seen before the restart")
        await until(lambda: (first, again.sighting_id) in seen.pairs(), what="content of before the restart")
    shutil.rmtree(files.folder)
    os.close(files.lock())
    counted = CountedLog(harness.log)
    async with (
        watch_matches(harness.log) as seen,
        running_matcher(cast(EventLog, counted), state=files, ready=False) as matcher,
    ):
        assert matcher.not_ready()
        await until(lambda: not matcher.not_ready(), what="ready")
        assert counted.read[SIGHTINGS.name] >= len(old)
        await publisher.publish([content_record(content(late, 1, registered(values[2])))])
        await until(lambda: len(seen.sightings_of(late)) == 10, what="what was read again")
