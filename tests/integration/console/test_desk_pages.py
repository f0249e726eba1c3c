"""The desk without a browser, and so without JavaScript: who sees what, and what is kept, found, changed and ended."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.fixtures_servers import own_database
from tests.integration.console.desk_world import AtDesk, Desk, running_desk
from tests.integration.intake.harness import pdq

pytestmark = pytest.mark.asyncio(loop_scope="module")

# method, path, form, what helpline staff get: of their own case, of another's, of none
ROUTES: tuple[tuple[str, str, dict[str, Any], int, int, int], ...] = (
    ("GET", "/desk", {}, 200, 200, 200),
    ("GET", "/desk/urgent", {}, 200, 200, 200),
    ("GET", "/desk/new", {}, 200, 200, 200),
    ("GET", "/desk/confirm", {}, 200, 200, 200),
    ("GET", "/desk/confirm/{case}", {}, 200, 404, 404),
    ("GET", "/desk/case?ref={ref}", {}, 200, 404, 404),
    ("GET", "/desk/case/{case}", {}, 200, 404, 404),
    ("GET", "/desk/case/{case}/edit", {}, 200, 404, 404),
    ("GET", "/desk/new/{case}", {}, 200, 404, 404),
    ("POST", "/desk/find", {"what": "{ref}"}, 303, 303, 303),
    ("POST", "/desk/find", {"what": "who.example"}, 200, 200, 200),
    ("POST", "/desk/new", {}, 303, 303, 303),
    ("POST", "/desk/new/{case}", {"pictures": "[]"}, 422, 422, 422),
    ("POST", "/desk/case/{case}/edit", {"version": "1", "notes": "x"}, 303, 404, 404),
    ("POST", "/desk/confirm/{case}", {"assurance": "viewed", "claim": "{claim}"}, 409, 404, 404),
    ("POST", "/desk/case/links", {"case_ref": "{ref}", "text": ""}, 303, 303, 303),
    ("POST", "/desk/case/{case}/pause", {}, 303, 404, 404),
    ("POST", "/desk/case/{case}/resumption", {}, 303, 404, 404),
    ("POST", "/desk/case/withdrawal/undo", {"case_ref": "{ref}"}, 303, 303, 303),
    ("POST", "/desk/case/withdrawal", {"case_ref": "{ref}", "reason": "subject_request"}, 303, 303, 303),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(postgres_conninfo: str) -> AsyncIterator[Desk]:
    with own_database(postgres_conninfo) as conninfo:
        async with running_desk(conninfo) as running:
            yield running


async def case_of(by: AtDesk, case_ref: str) -> str:
    """The id of a case, from its page."""
    page = await by.get("/desk/case", ref=case_ref)
    assert page.status_code == 200, page.text
    found = re.search(r"/desk/(?:case|new)/([0-9a-f-]{36})", page.text)
    assert found is not None
    return found[1]


async def asked(by: AtDesk, method: str, path: str, form: dict[str, Any], there: dict[str, str]) -> tuple[int, str]:
    path = path.format(**there)
    fields = {name: value.format(**there) for name, value in form.items()}
    answer = await (by.get(path) if method == "GET" else by.post(path, **fields))
    # What differs from person to person, and from page to page, is no part of the answer.
    text = re.sub(r'value="[^"]*"|<span class="soft">[\w-]+</span>', "", answer.text)
    for one in there.values():
        text = text.replace(one, "it")
    return answer.status_code, text


async def test_each_page_by_each_role_of_own_other_and_nothing(desk: Desk) -> None:
    ann = await desk.person("ann")
    zoe = await desk.person("zoe", organisation="helpline-z")
    oda = await desk.person("oda", role="operations")
    claim = await desk.declared(ann, "HL-000001", pdq(1))
    there = {"case": await case_of(ann, "HL-000001"), "claim": claim, "ref": "HL-000001"}
    nowhere = {"case": str(uuid4()), "claim": str(uuid4()), "ref": "HL-555555"}
    for method, path, form, own, other, none in ROUTES:
        for place in (there, nowhere):
            status, text = await asked(desk.nobody, method, path, form, place)
            assert (status, text) == (303, ""), (method, path)
            status, text = await asked(oda, method, path, form, place)
            assert status == 403, (method, path)
            assert "for helpline staff" in text
        missing = await asked(ann, method, path, form, nowhere)
        assert missing[0] == none, (method, path)
        foreign = await asked(zoe, method, path, form, there)
        assert foreign[0] == other, (method, path)
        assert foreign == await asked(zoe, method, path, form, nowhere), (method, path, "a neighbour sees nothing")
        assert (await asked(ann, method, path, form, there))[0] == own, (method, path)


async def test_a_dropped_call_is_found_again_and_a_colleagues_change_is_not_written_over(desk: Desk) -> None:
    eve, fay = await desk.person("eve"), await desk.person("fay")
    begun = await eve.post("/desk/new", safe_contact="text only", urgent=["threat", "spreading"], sent=uuid4().hex)
    assert begun.status_code == 303
    case = begun.headers["location"].rpartition("/")[2]
    home = (await eve.get("/desk")).text
    assert "Without a reference yet" in home
    assert "nothing declared yet" in home
    page = (await eve.get(f"/desk/case/{case}")).text
    for shown in ("text only", "a threat", "it is spreading", "Nothing has been declared"):
        assert shown in page
    saved = await fay.post(f"/desk/case/{case}/edit", version="1", safe_contact="text only", notes="Fay's", owner="fay")
    assert saved.status_code == 303
    refused = await eve.post(f"/desk/case/{case}/edit", version="1", notes="Eve's long story", case_ref="HL-000002")
    assert refused.status_code == 422
    assert "A colleague has changed this case" in refused.text
    assert "Eve&#39;s long story" in refused.text, "what was typed is not lost"
    assert "Fay&#39;s" in (await fay.get(f"/desk/case/{case}")).text
    assert "Without a reference yet" not in (await eve.get("/desk")).text, "it is Fay's now"


async def test_the_form_is_one_case_however_often_it_is_sent(desk: Desk) -> None:
    gus = await desk.person("gus")
    sent = uuid4().hex
    first, again = [await gus.post("/desk/new", case_ref="HL-000003", sent=sent) for _ in range(2)]
    assert first.headers["location"] == again.headers["location"]
    taken = await gus.post("/desk/new", case_ref="HL-000003", notes="kept on the page", sent=uuid4().hex)
    assert taken.status_code == 422
    assert "has a case with this reference already" in taken.text
    assert "kept on the page" in taken.text


async def test_what_we_got_wrong_ends_at_a_second_word_and_can_be_told(desk: Desk) -> None:
    ann, ben = await desk.person("ann"), await desk.person("ben")
    claims = [await desk.declared(ann, "HL-000004", pdq(number)) for number in (41, 42)]
    case = await case_of(ben, "HL-000004")
    waits = (await ben.get("/desk/confirm")).text
    assert "HL-000004" in waits
    confirmed = await ben.post(f"/desk/confirm/{case}", claim=claims, assurance="viewed")
    assert confirmed.status_code == 303, confirmed.text
    page = (await ben.get(f"/desk/case/{case}")).text
    assert pdq(41) not in page, "no hash is shown to anyone"
    nothing_said = await ann.post("/desk/case/withdrawal", case_ref="HL-000004", reason="")
    assert "Say why it is withdrawn" in nothing_said.text
    for final in ("false", "true"):  # Ann alone makes nothing final
        await ann.post("/desk/case/withdrawal", case_ref="HL-000004", reason="wrong_content", final=final)
    assert "A second person agrees" in (await ben.get(f"/desk/case/{case}")).text
    await ben.post("/desk/case/withdrawal", case_ref="HL-000004", reason="wrong_content", final="true")
    ended = await ben.get("/desk/case", ref="HL-000004")
    assert ended.status_code == 404
    assert "about the wrong picture" in ended.text
    assert "/desk/new?case_ref=HL-000004" in ended.text
    anew = await ben.get("/desk/new", age="adult", case_ref="HL-000004")
    assert 'value="HL-000004"' in anew.text


async def test_single_pictures_are_withdrawn_and_the_others_stay(desk: Desk) -> None:
    ann = await desk.person("ann")
    ben = await desk.person("ben")
    claims = [await desk.declared(ann, "HL-000005", pdq(number)) for number in (51, 52, 53)]
    case = await case_of(ann, "HL-000005")
    await ben.post(f"/desk/confirm/{case}", claim=claims[:1], assurance="viewed")
    fields = {"case_ref": "HL-000005", "reason": "subject_request", "single": "true"}
    assert "No picture was chosen" in (await ann.post("/desk/case/withdrawal", **fields)).text
    assert (await ann.post("/desk/case/withdrawal", **fields, picture=claims[:1])).status_code == 303
    page = (await ann.get(f"/desk/case/{case}")).text
    assert "One picture is being withdrawn" in page
    assert "The others go on" in page
    assert "Pause" in page
    assert claims[0] not in page
    assert claims[1] in page
    assert claims[2] in page


async def test_a_link_that_is_looked_for_stands_in_no_address(desk: Desk) -> None:
    ann = await desk.person("ann")
    await desk.declared(ann, "HL-000006", pdq(61))
    pasted = {"case_ref": "HL-000006", "text": "see hxxps://img.finds[.]example/a.jpg?x=1 !"}
    assert "Nothing was opened" in (await ann.post("/desk/case/links", **pasted)).text
    assert await desk.intake.rows("SELECT 1 FROM intake.reports") == []
    assert (await ann.post("/desk/case/links", **pasted, unnoticed="true")).status_code == 303
    for asked, heading in (
        ("https://img.finds.example/a.jpg?x=1", "know this link"),
        ("https://img.finds.example/other.jpg", "know this site"),
        ("finds.example", "know this site"),
    ):
        found = await ann.post("/desk/find", what=asked)
        assert found.status_code == 200
        assert heading in found.text
        assert "HL-000006" in found.text
    assert "No case of your organisation" in (await ann.post("/desk/find", what="not.known.example")).text
    assert "No case of your organisation" in (await ann.post("/desk/find", what="a.b c/d [.] nonsense")).text
    opened = await ann.post("/desk/find", what=" HL-000006 ")
    assert opened.headers["location"] == "/desk/case?ref=HL-000006"


async def test_found_out_later_that_somebody_was_under_18(desk: Desk) -> None:
    ann = await desk.person("ann")
    await desk.declared(ann, "HL-000007", pdq(71))
    case = await case_of(ann, "HL-000007")
    links = [f"https://handed-over.example/{number}.jpg" for number in range(2)]
    await ann.post("/desk/case/links", case_ref="HL-000007", text=" and ".join(links), unnoticed="true")
    assert "For the hotline" not in (await ann.get(f"/desk/case/{case}")).text
    assert (await ann.post(f"/desk/case/{case}/pause", reason="possible_minor")).status_code == 303
    page = (await ann.get(f"/desk/case/{case}")).text
    assert "\n".join(links) in page
    for offered in ("Add links", "Add pictures", "Withdraw …"):
        assert (offered in page) == (offered == "Withdraw …"), offered
    assert "Operations decide how it goes on" in page


async def test_under_18_nothing_is_asked_further(desk: Desk) -> None:
    ann = await desk.person("ann")
    page = (await ann.get("/desk/new", age="minor")).text
    assert "Internet Watch Foundation" in page
    assert "Nothing was kept" in page
    assert page.count("<input") == (await ann.get("/desk/urgent")).text.count("<input")
