"""What is wrong with a problem's place on Kafka: connection, rights, topics, brokers, clock.

`refusal` is for a process that cannot work: the same causes in the same words.
Nothing is changed, except that a transaction on `checkpoints` is opened and aborted (rights to write,
the broker's clock): readers of committed records never see it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType

from shared.errors import Fatal, HeadraceError, Retryable
from shared.finding import Finding, ok, warn, wrong
from shared.log.kafka_clients import Clients, Timeouts, drop
from shared.log.kafka_plan import Topic, looked_at
from shared.log.kafka_probe import in_background, probed
from shared.log.kafka_topics import topic
from shared.messages.streams import CHECKPOINTS, Stream

BOUND_S = 9.0
"""All of it takes less, whoever does not answer."""
_QUICK = Timeouts(request_s=1.5, delivery_s=2, transaction_s=2.5, session_s=6, block_s=2.5)
_LATE_S, _WRONG_S = 2.0, 60.0
_LOSES = ("retention.ms", "retention.bytes", "cleanup.policy", "message.timestamp.type")
"""Settings that lose records or order when they are other than wanted."""
_ABORT_MS = 2_000
_UNKNOWN, _DENIED = 3, 29
Needs = Mapping[Stream, frozenset[str]]


def needs(reads: Iterable[Stream] = Stream, writes: Iterable[Stream] = Stream) -> Needs:
    """The rights (Kafka's operations) on each stream of those who read and write these."""
    wanted: dict[Stream, set[str]] = {CHECKPOINTS: {"DESCRIBE", "READ", "WRITE"}}
    for operation, streams in (("READ", reads), ("WRITE", writes)):
        for stream in streams:
            wanted.setdefault(stream, {"DESCRIBE"}).add(operation)
    return {stream: frozenset(operations) for stream, operations in wanted.items()}


def examined(
    servers: str,
    options: Mapping[str, str],
    problem: str,
    wanted: Needs,
    now_ms: Callable[[], int] | None = None,
    quick: bool = False,
) -> Iterator[Finding]:
    """Findings, the connection first; without one nothing else. `now_ms`: this machine's clock;
    `quick`: see `refusal`.
    """
    found = [_through_proxy(servers)] if options.get("proxy_url") else probed(servers, options)
    alive = [finding for finding in found if finding.state != "wrong"]
    if alive and len(alive) < len(found):  # one of several brokers may be down
        found = [_milder(finding) for finding in found]
    yield from found
    if not alive:
        return
    clients = Clients(servers, options, _QUICK)
    topics = list(_safely(_topics, clients, problem, wanted, quick=quick))
    yield from topics
    yield from _safely(_group, clients, problem, wanted, quick=quick)
    if quick:
        return
    yield from _safely(_broker, clients, problem, wanted)
    if any(finding.state == "wrong" for finding in topics):
        now_ms = None  # there may be nothing to write to
    yield from _safely(_transaction, clients, problem, now_ms)


def refusal(
    servers: str, options: Mapping[str, str], problem: str, wanted: Needs, quick: bool = False
) -> Fatal | None:
    """Why a process that needs these rights cannot work, with the mend; None: nothing was found.

    Takes at most 10 s. `quick`: connection, topics and groups only, some tenths of a second where all
    is well: for the start.
    """
    done = in_background(lambda: list(examined(servers, options, problem, wanted, quick=quick)))
    try:
        bad = [finding for finding in done.result(BOUND_S) if finding.state == "wrong"]
    except TimeoutError:
        return Fatal(
            f"Kafka at {servers} does not answer within {BOUND_S:g} s: see `headrace doctor`"
        )
    return _fatal(bad) if bad else None


def _fatal(bad: list[Finding]) -> Fatal:
    lines = "; ".join(f"{f.check}: {f.text} -> {f.mend}" for f in bad[:3])
    more = f" ({len(bad) - 3} more: `headrace doctor`)" if len(bad) > 3 else ""
    return Fatal(f"{lines}{more}")


def _safely(
    look: Callable[..., Iterator[Finding]], *arguments: Any, quick: bool = False
) -> Iterator[Finding]:
    """Findings of one look; an error of the client is one too. `quick`: slowness is not, whoever starts
    will see.
    """
    try:
        yield from look(*arguments)
    except Retryable as error:
        say = warn if quick else wrong
        name = look.__name__.strip("_")
        yield say(f"kafka {name}", str(error), "is the broker overloaded? look again in a moment")
    except (HeadraceError, errors.KafkaError) as error:
        name = look.__name__.strip("_")
        yield wrong(f"kafka {name}", str(error), "look into the broker's log for this client")


def _topics(clients: Clients, problem: str, wanted: Needs) -> Iterator[Finding]:
    found = {t.stream: t for t in looked_at(clients, problem) if t.stream in wanted}
    missing = [t.name for t in found.values() if not t.partitions and t.error in (0, _UNKNOWN)]
    if missing:
        mend = "`headrace topics create --problem PROBLEM.yaml` creates what is missing"
        yield wrong("topics", f"missing: {', '.join(missing)}", mend)
    lacking: dict[tuple[str, ...], list[str]] = {}
    for stream, asked in wanted.items():
        has = found[stream].operations
        if asked - has and (found[stream].partitions or found[stream].error == _DENIED):
            lacking.setdefault(tuple(sorted(asked - has)), []).append(found[stream].name)
    for operations, names in lacking.items():
        allowed = ", ".join(operations)
        mend = (
            f"give this user {allowed} on topics with the prefix {problem}. (kafka-acls --topic)"
        )
        yield wrong("rights on topics", f"not allowed: {allowed} on {', '.join(names)}", mend)
    settled = [finding for t in found.values() if t.partitions for finding in _settings(t)]
    yield from settled
    if not (missing or lacking or settled):
        yield ok("topics", f"{len(found)} as wanted")


def _settings(found: Topic) -> Iterator[Finding]:
    for name, (is_now, wanted) in found.differs.items():
        if name == "partitions":
            mend = "the number cannot be changed: start a problem with another name, or move it"
            yield wrong(f"topic {found.name}", f"{is_now} partitions instead of {wanted}", mend)
            continue
        say = wrong if name in _LOSES else warn
        mend = f"kafka-configs --alter --topic {found.name} --add-config {name}={wanted}"
        yield say(f"topic {found.name}", f"{name} is {is_now}, wanted is {wanted}", mend)
    least = int(found.values.get("min.insync.replicas", "1"))
    if least > found.replication:
        text = (
            f"min.insync.replicas {least} is more than its {found.replication} copies: no writes"
        )
        yield wrong(f"topic {found.name}", text, "add copies, or lower min.insync.replicas")
    elif found.replication > 1 and least == found.replication:
        text = f"min.insync.replicas is as many as its {least} copies: one broker down stops all writes"
        yield warn(f"topic {found.name}", text, "3 copies with min.insync.replicas=2")
    elif found.replication > 2 and least == 1:
        text = "min.insync.replicas is 1: what one broker alone has taken can be lost"
        yield warn(f"topic {found.name}", text, "set min.insync.replicas=2")


def _group(clients: Clients, problem: str, wanted: Needs) -> Iterator[Finding]:
    name = f"{problem}.doctor"
    text = f"not allowed: READ on groups with the prefix {problem}."
    mend = f"kafka-acls --add --operation Read --group {problem}. --resource-pattern-type prefixed"
    try:
        with clients.admin() as admin:
            found = admin.describe_groups([name], include_authorized_operations=True)[name]
    except HeadraceError as error:
        if isinstance(error.__cause__, errors.GroupAuthorizationFailedError):
            yield wrong("rights on groups", text, mend)
        elif isinstance(error.__cause__, errors.CoordinatorNotAvailableError):
            yield warn("groups", "the broker is still setting them up", "look again in a moment")
        else:
            raise
        return
    has = found.get("authorized_operations") or ()
    if (found["error"] and "uthoriz" in str(found["error"])) or (has and "READ" not in has):
        yield wrong("rights on groups", text, mend)
    else:
        yield ok("rights on groups", f"{problem}.*")


def _broker(clients: Clients, problem: str, wanted: Needs) -> Iterator[Finding]:
    with clients.admin() as admin:
        node = str(admin.describe_cluster()["brokers"][0]["broker_id"])
        asked = [ConfigResource(ConfigResourceType.BROKER, node)]
        try:
            rows = admin.describe_configs(asked, config_filter="all")["broker"][node]
        except (errors.KafkaError, KeyError):
            rows = {}
    if not rows:
        yield ok("broker's limits", "may not be looked at by this user")
        return
    longest_ms = int(rows["transaction.max.timeout.ms"]["value"])
    ours_ms = int(Timeouts().transaction_s * 1_000)
    if longest_ms < ours_ms:
        text = (
            f"transaction.max.timeout.ms is {longest_ms}, transactions here take up to {ours_ms}"
        )
        yield wrong("broker's limits", text, f"set it to {ours_ms} or more on the brokers")
    name = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
    every_ms = int(rows[name]["value"]) if name in rows else _ABORT_MS
    if every_ms > _ABORT_MS:
        text = f"{name} is {every_ms}: a killed process holds readers up that long"
        yield warn("broker's limits", text, f"set it to {_ABORT_MS} on the brokers")
    elif longest_ms >= ours_ms:
        yield ok("broker's limits", "transactions are long enough, and ended soon enough")


def _transaction(
    clients: Clients, problem: str, now_ms: Callable[[], int] | None
) -> Iterator[Finding]:
    name = f"{problem}.doctor.0"
    try:
        producer = clients.producer(name)
    except HeadraceError as error:
        if not isinstance(error.__cause__, errors.TransactionalIdAuthorizationFailedError):
            raise
        text = f"not allowed: WRITE on transactional ids with the prefix {problem}."
        mend = f"kafka-acls --add --operation Write --transactional-id {problem}. (prefixed)"
        yield wrong("rights on transactions", text, mend)
        return
    try:
        yield ok("rights on transactions", f"{problem}.*")
        if now_ms is not None:
            yield from _clock(producer, topic(problem, CHECKPOINTS), now_ms)
    finally:
        drop(producer)


def _clock(producer: Any, where: str, now_ms: Callable[[], int]) -> Iterator[Finding]:
    """Against the time that the broker gives a record (`LogAppendTime`), which is then aborted."""
    producer.begin_transaction()
    before = now_ms()
    try:
        sent = producer.send(where, key=b"doctor/clock/", partition=0)
        producer.flush(_QUICK.delivery_s)
        written = sent.get(_QUICK.delivery_s)
    finally:
        producer.abort_transaction()
    middle = (before + now_ms()) / 2
    ahead_s = (middle - written.timestamp) / 1_000
    text = f"this machine is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} the broker"
    if abs(ahead_s) < _LATE_S:
        yield ok("clock", text)
        return
    say = wrong if abs(ahead_s) >= _WRONG_S else warn
    yield say("clock", text, "set both by NTP: waiting times and schedules go by this clock")


def _milder(finding: Finding) -> Finding:
    if finding.state != "wrong":
        return finding
    return warn(finding.check, finding.text, finding.mend)


def _through_proxy(servers: str) -> Finding:
    return ok(f"kafka {servers}", "through a proxy; its steps are not looked at one by one")
