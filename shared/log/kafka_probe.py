"""Why a broker cannot be reached: name, port, TLS, protocol, password, each with its own mend."""

import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any, TypeVar

from kafka.net.sasl import get_sasl_mechanism

from shared.finding import Finding, ok, wrong
from shared.log.kafka_wire import HungUp, NotKafka, Silent, Wire

STEP_S = 2.0
"""Most time for a name, and for a connection."""
ANSWER_S = 4.0
"""Most time for an answer: a broker under load has taken more than 2 s for a TLS handshake."""
BOUND_S = 8.5
"""Most time for all of it."""
_SET = "HEADRACE_KAFKA_"
_EXPIRED, _NOT_YET, _HOST, _ADDRESS = 10, 9, 62, 64
_ILLEGAL_SASL_STATE = 34
_T = TypeVar("_T")


class _Stopped(Exception):
    def __init__(self, finding: Finding) -> None:
        self.finding = finding


def probed(servers: str, options: Mapping[str, str]) -> list[Finding]:
    """One finding a server: the first step that fails, else that it is well.

    `servers`: `host:port,host:port`; `options` by kafka-python's names. Takes at most
    `BOUND_S`, whoever does not answer.
    """
    waiting = {
        server: in_background(lambda server=server: _probed(server, options))  # type: ignore[misc]
        for server in servers.split(",")
    }
    done, _ = wait(waiting.values(), BOUND_S)
    return [
        future.result() if future in done else _endless(server)
        for server, future in waiting.items()
    ]


def _endless(server: str) -> Finding:
    return wrong(f"kafka {server}", f"no end of it within {BOUND_S:g} s", _NETWORK)


def in_background(work: Callable[[], _T]) -> "Future[_T]":
    """`work` in a thread that does not keep the process alive."""
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001  handed on to whoever waits
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return done


def reached(host: str, port: int) -> socket.socket:
    """A connection.

    Raises:
        _Stopped: there is none.
    """
    name = f"kafka {host}:{port}"
    try:
        look_up = in_background(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        addresses = look_up.result(STEP_S)
    except TimeoutError as error:
        text = f"the name {host} is not resolved within {STEP_S:g} s"
        raise _Stopped(wrong(name, text, "check the DNS server of this machine")) from error
    except OSError as error:
        text = f"the name {host} is not known ({error.strerror or error})"
        raise _Stopped(wrong(name, text, "check the address in HEADRACE_LOG, and DNS")) from error
    try:
        connection = socket.create_connection((str(addresses[0][4][0]), port), timeout=STEP_S)
    except TimeoutError as error:
        text = f"no answer to a connection within {STEP_S:g} s"
        raise _Stopped(wrong(name, text, _NETWORK)) from error
    except OSError as error:
        text = f"no connection ({error.strerror or error})"
        mend = "is the broker running, and on this port? check the address in HEADRACE_LOG"
        raise _Stopped(wrong(name, text, mend)) from error
    connection.settimeout(ANSWER_S)
    return connection


_NETWORK = "a firewall or a wrong address: check HEADRACE_LOG and the network's rules"


def _probed(server: str, options: Mapping[str, str]) -> Finding:
    name = f"kafka {server}"
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        return wrong(name, "this is no host:port", "write HEADRACE_LOG=kafka://host:9092")
    try:
        with _secured(reached(host.strip("[]"), int(port)), host, name, options) as connection:
            return _spoken(Wire(connection), name, host, options)
    except _Stopped as stop:
        return stop.finding
    except Silent:
        text = f"the port takes connections but does not answer within {ANSWER_S:g} s"
        mend = (
            "is it a Kafka broker? If its listener uses TLS, set "
            f"{_SET}SECURITY_PROTOCOL=SSL (or SASL_SSL); if it hangs, restart it"
        )
        return wrong(name, text, mend)
    except NotKafka:
        text = "the answer is not Kafka's protocol"
        mend = (
            f"if the listener uses TLS set {_SET}SECURITY_PROTOCOL=SSL (or SASL_SSL); else the port "
            "in HEADRACE_LOG is that of another service"
        )
        return wrong(name, text, mend)
    except HungUp:
        return wrong(name, "the broker hangs up", _protocol_mend(options))


def _secured(
    connection: socket.socket, host: str, name: str, options: Mapping[str, str]
) -> socket.socket:
    if "SSL" not in options.get("security_protocol", "PLAINTEXT").upper():
        return connection
    try:
        context = _context(options)
    except OSError as error:  # also ssl.SSLError
        connection.close()
        text = f"a certificate or key file cannot be used ({error})"
        mend = f"check {_SET}SSL_CAFILE, {_SET}SSL_CERTFILE, {_SET}SSL_KEYFILE"
        raise _Stopped(wrong(name, text, mend)) from error
    try:
        return context.wrap_socket(connection, server_hostname=host.strip("[]"))
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise _Stopped(_not_trusted(error, name, host)) from error
    except TimeoutError as error:
        connection.close()
        text = f"no answer to the TLS handshake within {ANSWER_S:g} s"
        mend = f"does this port use TLS? else set {_SET}SECURITY_PROTOCOL without SSL"
        raise _Stopped(wrong(name, text, mend)) from error
    except OSError as error:
        connection.close()
        reason = getattr(error, "reason", None) or error.strerror or error
        text = f"the TLS handshake fails ({reason})"
        mend = (
            f"if this port does not use TLS set {_SET}SECURITY_PROTOCOL without SSL; if the broker "
            f"asks for a certificate set {_SET}SSL_CERTFILE and {_SET}SSL_KEYFILE"
        )
        raise _Stopped(wrong(name, text, mend)) from error


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    """As kafka-python makes it (`kafka/net/transport.py`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = options.get("ssl_check_hostname", "true").lower() in (
        "true",
        "1",
        "yes",
    )
    if options.get("ssl_cafile"):
        context.load_verify_locations(options["ssl_cafile"])
    else:
        context.load_default_certs()
    if options.get("ssl_certfile"):
        key, password = options.get("ssl_keyfile"), options.get("ssl_password")
        context.load_cert_chain(options["ssl_certfile"], key, password)
    return context


def _not_trusted(error: ssl.SSLCertVerificationError, name: str, host: str) -> Finding:
    if error.verify_code in (_EXPIRED, _NOT_YET):
        text = f"the broker's certificate is out of date ({error.verify_message})"
        return wrong(name, text, "renew it on the broker; or this machine's clock is wrong")
    if error.verify_code in (_HOST, _ADDRESS):
        text = f"the broker's certificate is not for {host} ({error.verify_message})"
        mend = "use the host name that it is for in HEADRACE_LOG, or have it issued for this one"
        return wrong(name, text, mend)
    text = f"the broker's certificate is of an unknown authority ({error.verify_message})"
    mend = f"set {_SET}SSL_CAFILE to the PEM file of the authority that issued it"
    return wrong(name, text, mend)


def _spoken(wire: Wire, name: str, host: str, options: Mapping[str, str]) -> Finding:
    wire.api_versions()
    protocol = options.get("security_protocol", "PLAINTEXT").upper()
    if protocol.startswith("SASL"):
        refused = _refused(wire, name, host, options)
        if refused:
            return refused
    for other, port in wire.brokers():
        try:
            reached(other, port).close()
        except _Stopped as stop:
            text = f"it sends clients on to {other}:{port}; there: {stop.finding.text}"
            mend = "set advertised.listeners of the broker to an address that clients can reach"
            return wrong(name, text, mend)
    return ok(name, f"answers ({protocol})")


def _refused(wire: Wire, name: str, host: str, options: Mapping[str, str]) -> Finding | None:
    wanted = options.get("sasl_mechanism", "")
    code, known = wire.handshake(wanted)
    if code == _ILLEGAL_SASL_STATE:
        mend = (
            f"set {_SET}SECURITY_PROTOCOL without SASL, or use the port that asks for a password"
        )
        return wrong(name, "this listener knows no passwords (SASL)", mend)
    if code or wanted not in known:
        text = f"the broker does not take the SASL mechanism {wanted or '(none set)'}"
        return wrong(name, text, f"set {_SET}SASL_MECHANISM to one of: {', '.join(sorted(known))}")
    given: dict[str, Any] = {"host": host, "sasl_plain_username": "", "sasl_plain_password": ""}
    mechanism = get_sasl_mechanism(wanted)(**{**given, **options})
    while not mechanism.is_done():
        code, said, token = wire.authenticate(mechanism.auth_bytes())
        if code:
            user = options.get("sasl_plain_username", "")
            text = f"the broker refuses the user {user!r}: {said or 'authentication failed'}"
            mend = f"check {_SET}SASL_PLAIN_USERNAME and {_SET}SASL_PLAIN_PASSWORD"
            return wrong(name, text, mend)
        mechanism.receive(token)
    return None


def _protocol_mend(options: Mapping[str, str]) -> str:
    protocol = options.get("security_protocol", "PLAINTEXT").upper()
    return (
        f"the listener may want another protocol than {protocol}: set {_SET}SECURITY_PROTOCOL to one "
        "of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, with user and password where it is SASL"
    )
