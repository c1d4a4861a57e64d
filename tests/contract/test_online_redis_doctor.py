"""What the doctor says of a real Redis."""

import redis

from shared.online.redis_doctor import examined
from tests.kit.redis_server import Server, redis_own

__all__ = ["redis_own"]


def test_redis_that_keeps_what_it_is_given(redis_own: Server) -> None:
    assert [finding.state for finding in examined(redis_own.url)] == ["ok"] * 3


def test_redis_that_evicts(redis_own: Server) -> None:
    client = redis.Redis.from_url(redis_own.url)
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    wrong = [finding for finding in examined(redis_own.url) if finding.state == "wrong"]
    assert ["noeviction" in finding.mend for finding in wrong] == [True]


def test_redis_that_is_gone(redis_own: Server) -> None:
    redis_own.stop()
    (finding,) = examined(redis_own.url)
    assert (finding.state, "HEADRACE_ONLINE" in finding.mend) == ("wrong", True)
