"""What is wrong with a Redis that holds the online view."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import redis

from shared.finding import Finding, ok, warn, wrong

_STEP_S = 2.0


def examined(url: str) -> Iterator[Finding]:
    """Does it answer, does it keep what it is given. Takes at most a few seconds."""
    name = f"redis {urlsplit(url).hostname}:{urlsplit(url).port or 6379}"
    try:
        client: Any = redis.Redis.from_url(
            url, socket_timeout=_STEP_S, socket_connect_timeout=_STEP_S, retry=None
        )
        client.ping()
        facts: dict[str, Any] = client.info()
    except redis.AuthenticationError as error:
        yield wrong(
            name, f"refuses the user ({error})", "check user and password in HEADRACE_ONLINE"
        )
        return
    except (redis.RedisError, OSError, ValueError) as error:
        mend = "is it running, and at this address? check HEADRACE_ONLINE"
        yield wrong(name, f"does not answer ({error})", mend)
        return
    yield ok(name, f"answers (version {facts.get('redis_version', '?')})")
    yield _eviction(name, facts)
    yield _persistence(name, facts)
    client.close()


def _eviction(name: str, facts: dict[str, Any]) -> Finding:
    policy, most = str(facts.get("maxmemory_policy", "noeviction")), int(facts.get("maxmemory", 0))
    if most and policy != "noeviction":
        text = (
            f"maxmemory-policy is {policy}: entries vanish one by one when {most} bytes are full"
        )
        return wrong(
            f"{name} memory", text, "set maxmemory-policy noeviction, and enough maxmemory"
        )
    if not most:
        return ok(f"{name} memory", "no limit of its own")
    return ok(f"{name} memory", f"{facts.get('used_memory', '?')} of {most} bytes, noeviction")


def _persistence(name: str, facts: dict[str, Any]) -> Finding:
    if str(facts.get("rdb_last_bgsave_status", "ok")) != "ok":
        mend = "look into its log; the disk may be full: it can refuse writes because of that"
        return warn(f"{name} persistence", "its last snapshot failed", mend)
    if int(facts.get("aof_enabled", 0)):
        return ok(f"{name} persistence", "append-only file")
    return ok(
        f"{name} persistence", "snapshots at most: after a loss the view is rebuilt from the log"
    )
