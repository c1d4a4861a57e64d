"""The online view in Redis (6.2 or later, or Valkey): one store for every process that answers.

Keys, all under `{problem}:` (ACL: `~{problem}:*`):

- `{problem}:online`, a hash: `generation`, `at_ms`, and for each partition `next:predictions/1` and
  `last:predictions/1`. It is the sentinel: whatever loses the view (FLUSHALL, a restart without a
  file) loses it too, and an older copy has the older positions in it.
- `{problem}:{generation}:entity:{key}` and `{problem}:{generation}:prediction:{id}`, strings: a line
  with position and partition, then the record's bytes.
- `{problem}:{generation}:ids:{partition}`, a list: ids by offset, to forget the oldest.

Each change is one Lua script, hence atomic; it is fenced by generation and position, so a retry, and
a request that a paused server carries out late, change nothing. Keys are made inside of the scripts:
one primary with replicas, not Redis Cluster.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from shared.errors import Fatal, Retryable, UsageError
from shared.online.port import Batch, Kind, Place, State

_BEGIN = """
if (redis.call('HGET', KEYS[1], 'generation') or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'generation', ARGV[2])
return 1
"""
_PUT = """
local partition, first, past, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local view = redis.call('HMGET', KEYS[1], 'generation', 'next:' .. partition)
local there = tonumber(view[2] or '0')
if view[1] ~= ARGV[1] or there < first then return 0 end
if there >= past then return 1 end
local prefix = ARGV[7] .. ARGV[1] .. ':'
local ids = prefix .. 'ids:' .. partition
for i = 8, #ARGV, 4 do
  if tonumber(ARGV[i + 3]) >= there then
    local key = prefix .. ARGV[i] .. ':' .. ARGV[i + 1]
    redis.call('SET', key, ARGV[i + 3] .. ' ' .. partition .. '\\n' .. ARGV[i + 2])
    if ARGV[i] == 'prediction' then redis.call('RPUSH', ids, ARGV[i + 1]) end
  end
end
redis.call('HSET', KEYS[1], 'next:' .. partition, ARGV[4], 'last:' .. partition, ARGV[5])
local over = redis.call('LLEN', ids) - most
if over > 0 then
  for _, id in ipairs(redis.call('LRANGE', ids, 0, over - 1)) do
    local key = prefix .. 'prediction:' .. id
    local position, of = string.match(redis.call('GETRANGE', key, 0, 99), '^(%d+) ([^\\n]+)')
    if of == partition and tonumber(position) < past - most then redis.call('UNLINK', key) end
  end
  redis.call('LTRIM', ids, over, -1)
end
return 1
"""
_MARK = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do
  local there = redis.call('HGET', KEYS[1], 'next:' .. ARGV[i]) or '0'
  if tonumber(there) < tonumber(ARGV[i + 1]) then return 0 end
end
if tonumber(redis.call('HGET', KEYS[1], 'at_ms') or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'at_ms', ARGV[2])
end
return 1
"""
_GET = """
local generation = redis.call('HGET', KEYS[1], 'generation')
if not generation then return {false, {}} end
local value = redis.call('GET', ARGV[1] .. generation .. ':' .. ARGV[2] .. ':' .. ARGV[3])
return {value, redis.call('HGETALL', KEYS[1])}
"""
_SWEEP = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local freed = 0
for i = 2, #ARGV do freed = freed + redis.call('UNLINK', ARGV[i]) end
return freed
"""
TIMEOUT_S = 1.0
RETRIES = 2
_SWEPT = 1_000


class RedisOnline:
    """The view of `problem` on the server at `url` (`redis://` or `rediss://`, redis-py's options).

    `most`: of how many offsets of a partition predictions are kept. A request takes at most
    `timeout_s` for the connection and as much for the answer, is sent again `RETRIES` times, then it is
    `Retryable`. Nothing is sent before the first call.

    Raises:
        UsageError: `url` cannot be understood.
    """

    def __init__(self, url: str, problem: str, most: int, timeout_s: float = TIMEOUT_S) -> None:
        self._prefix = f"{problem}:"
        self._most = most
        retry = Retry(ExponentialBackoff(cap=0.2, base=0.05), RETRIES)  # without jitter
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=retry,
                health_check_interval=15,
            )
        except ValueError as error:
            raise UsageError(
                f"HEADRACE_ONLINE: {error}; write redis://host:6379/0 or rediss://user:password@host:6380/0"
            ) from error
        options = self._client.connection_pool.connection_kwargs
        self._where = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        script = self._client.register_script
        self._begin, self._put = script(_BEGIN), script(_PUT)
        self._mark, self._get, self._sweep = script(_MARK), script(_GET), script(_SWEEP)
        self._view = f"{self._prefix}online"

    def state(self) -> State | None:
        """See the port."""
        with self._asked():
            fields: Any = self._client.hgetall(self._view)
        return _state(fields)

    def begin(self, after: int | None, generation: int) -> bool:
        """See the port. What the older generation held is freed by `sweep`."""
        present = "" if after is None else after
        with self._asked():
            return bool(self._begin(keys=[self._view], args=[present, generation]))

    def put(self, generation: int, batch: Batch) -> bool:
        """See the port."""
        head = [generation, batch.partition, batch.start, batch.end, batch.last, self._most]
        args: list[Any] = [*head, self._prefix]
        for entry in batch.entries:
            args.extend(entry)
        with self._asked():
            return bool(self._put(keys=[self._view], args=args))

    def mark(self, generation: int, positions: Mapping[str, int], at_ms: int) -> bool:
        """See the port."""
        pairs = [part for pair in positions.items() for part in pair]
        with self._asked():
            return bool(self._mark(keys=[self._view], args=[generation, at_ms, *pairs]))

    def get(self, kind: Kind, key: str) -> tuple[tuple[bytes, int] | None, State | None]:
        """See the port."""
        with self._asked():
            answer: Any = self._get(keys=[self._view], args=[self._prefix, kind, key])
        value, flat = answer
        state = _state(dict(zip(flat[::2], flat[1::2], strict=True)))
        if value is None:
            return None, state
        head, _, body = value.partition(b"\n")
        return (body, int(head.split(b" ", 1)[0])), state

    def sweep(self) -> int:
        """See the port; goes through all keys of the server, in small steps."""
        state = self.state()
        if state is None:
            return 0
        here = f"{self._prefix}{state.generation}:".encode()
        freed, cursor = 0, 0
        while True:
            with self._asked():
                scanned: Any = self._client.scan(cursor, match=f"{self._prefix}*:*", count=_SWEPT)
                cursor, keys = scanned
                old = [key for key in keys if not key.startswith(here)]
                gone = (
                    int(self._sweep(keys=[self._view], args=[state.generation, *old]))
                    if old
                    else 0
                )
            if gone < 0 or cursor == 0:  # below 0: meanwhile another generation is the present one
                return freed + max(gone, 0)
            freed += gone

    def close(self) -> None:
        """See the port."""
        self._client.close()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise Fatal(
                f"Redis at {self._where} refuses us ({error}). Look at user and password in "
                f"HEADRACE_ONLINE; the user needs +@read +@write +@scripting ~{self._prefix}*."
            ) from error
        except redis.exceptions.OutOfMemoryError as error:
            raise Retryable(
                f"Redis at {self._where} is full ({error}). Raise its maxmemory; the view waits, "
                "and goes on from the log."
            ) from error
        except redis.RedisError as error:
            raise Retryable(
                f"Redis at {self._where} does not answer as it should: {error}"
            ) from error


def _state(fields: Mapping[bytes, bytes]) -> State | None:
    if b"generation" not in fields:
        return None
    places = {
        name[5:].decode(): Place(int(value), fields[b"last:" + name[5:]].decode())
        for name, value in fields.items()
        if name.startswith(b"next:")
    }
    at = fields.get(b"at_ms")
    return State(int(fields[b"generation"]), int(at) if at else None, places)
