"""The gate: who gets in, what is asked of the cluster, how long an answer is kept."""

import pytest

from bascule.errors import RefusedError, UnreachableError
from bascule_agent.server.auth import ALLOWED_SECONDS, DENIED_SECONDS, METHODS, Access, Gate, UnauthenticatedError

GET = METHODS["Flows"]
PROBE = METHODS["Probe"]


class Reviews:
    """The two reviews of an API server with fixed users: what the lab's fixed roles answer."""

    def __init__(self):
        self.asked, self.down, self.now = [], False, 100.0

    async def create(self, document):
        if self.down:
            raise UnreachableError("no answer")
        self.asked.append(document)
        spec = document["spec"]
        if document["kind"] == "TokenReview":
            name = {"t-viewer": "viewer", "t-admin": "admin"}.get(spec["token"])
            user = {"username": name, "groups": ["g"]} if name else {}
            return document | {"status": {"authenticated": bool(name), "user": user}}
        wanted = spec["resourceAttributes"]
        return document | {"status": {"allowed": spec["user"] == "admin" or wanted["verb"] == "get"}}


@pytest.fixture
def reviews():
    return Reviews()


@pytest.fixture
def gate(reviews):
    return Gate("node1", reviews.create, now=lambda: reviews.now)


async def test_a_known_user_gets_what_its_role_allows(gate, reviews):
    assert await gate.check("Bearer t-viewer", GET) == "viewer"
    with pytest.raises(RefusedError, match="viewer may not create agents/probe.bascule.dev node1"):
        await gate.check("Bearer t-viewer", PROBE)
    assert await gate.check("bearer t-admin", PROBE) == "admin"
    attributes = [d["spec"]["resourceAttributes"] for d in reviews.asked if d["kind"] == "SubjectAccessReview"]
    get = {"group": "bascule.dev", "resource": "agents", "name": "node1", "verb": "get"}
    create = get | {"verb": "create", "subresource": "probe"}
    assert attributes == [get, create, create]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "t-admin", "Bearer nobody"])
async def test_without_a_known_token_nobody_gets_in(gate, header):
    with pytest.raises(UnauthenticatedError):
        await gate.check(header, GET)


async def test_answers_are_kept_for_seconds_only(gate, reviews):
    for _ in range(3):
        await gate.check("Bearer t-viewer", GET)
    assert len(reviews.asked) == 2
    reviews.now += ALLOWED_SECONDS + 0.1
    await gate.check("Bearer t-viewer", GET)
    assert len(reviews.asked) == 4


async def test_a_refusal_is_kept_shorter(gate, reviews):
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            await gate.check("Bearer nobody", GET)
    assert len(reviews.asked) == 1
    reviews.now += DENIED_SECONDS + 0.1
    with pytest.raises(UnauthenticatedError):
        await gate.check("Bearer nobody", GET)
    assert len(reviews.asked) == 2


async def test_a_cluster_that_cannot_be_asked_lets_nobody_in_and_is_asked_again(gate, reviews):
    reviews.down = True
    with pytest.raises(UnreachableError):
        await gate.check("Bearer t-admin", GET)
    reviews.down = False
    assert await gate.check("Bearer t-admin", GET) == "admin"


async def test_a_right_the_agent_itself_lacks_is_no_verdict_on_the_caller():
    async def forbidden(document):
        raise RefusedError("tokenreviews is forbidden")

    with pytest.raises(UnreachableError, match="may not create a TokenReview"):
        await Gate("node1", forbidden).check("Bearer t-admin", GET)


def test_every_method_of_the_service_has_its_access():
    from bascule.protocol.gen import agent_pb2

    service = agent_pb2.DESCRIPTOR.services_by_name["Agent"]
    assert {m.name for m in service.methods} == set(METHODS)
    assert METHODS["SourceHalf"] == Access("get", "moves")
