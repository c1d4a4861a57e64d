"""What an HTTP request brings along: who sends it, and the documents in its body.

CloudEvents come as the HTTP protocol binding 1.0 says (structured, batch, binary) and are handed on
as the Kafka binding writes them: the same headers, the same bytes.
"""

import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
from fastapi import HTTPException, Request

from shared.messages.cloudevents import BATCH, CONTENT_TYPE, STRUCTURED

MOST_BODY_BYTES = 16 * 1024 * 1024
LINE_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")

_array = msgspec.json.Decoder(list[msgspec.Raw])
_document = msgspec.json.Decoder(msgspec.Raw)


class Document(NamedTuple):
    """One JSON document as it came; `headers` as a Kafka record of it would carry them."""

    value: bytes
    headers: Mapping[str, bytes] | None = None


class Bundle(NamedTuple):
    """What a request holds; `is_list` tells a list of one from one."""

    documents: list[Document]
    is_list: bool


async def documents(
    request: Request, token: str | None, most_bytes: int = MOST_BODY_BYTES
) -> Bundle:
    """The documents of a request, after a look at who sends it.

    Raises:
        HTTPException: 401, 403: not allowed; 413: too large; 415: in no known form; 400: empty.
    """
    _authorise(request, token)
    body = await _body(request, most_bytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    attributes = {
        f"ce_{name[3:]}": unquote(text).encode()
        for name, text in request.headers.items()
        if name.startswith("ce-")
    }
    if kind == BATCH:
        found = [Document(value, {CONTENT_TYPE: STRUCTURED.encode()}) for value in split(body)]
    elif kind.startswith("application/cloudevents"):
        found = [Document(body, {CONTENT_TYPE: kind.encode()})] if body else []
    elif attributes:
        found = [Document(body, {**attributes, CONTENT_TYPE: kind.encode()})] if body else []
    else:
        found = [Document(value) for value in split(body, kind)]
    if not found:
        raise HTTPException(400, "The body is empty; send JSON: an object, an array, or lines.")
    plain = not kind.startswith("application/cloudevents") and not attributes
    listed = plain and (kind in LINE_TYPES or body.lstrip().startswith(b"["))
    return Bundle(found, len(found) > 1 or kind == BATCH or listed)


def split(body: bytes, content_type: str = "") -> list[bytes]:
    """The documents in `body`, each as its own bytes; a broken one is a document too.

    Lines are split when `content_type` says so, or when `body` is neither a JSON array nor one JSON
    document. An array that does not parse as a whole is taken by lines as well: where it ends nobody
    can know. Blank lines are no documents.
    """
    body = body.strip()
    if content_type.partition(";")[0].strip().lower() not in LINE_TYPES:
        try:
            if body.startswith(b"["):
                return [bytes(item) for item in _array.decode(body)]
            return [bytes(_document.decode(body))]
        except (msgspec.DecodeError, RecursionError):
            pass
    return [line for line in map(bytes.strip, body.split(b"\n")) if line]


async def _body(request: Request, most_bytes: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise HTTPException(415, f"Content-Encoding {encoding} is not read; send it plain.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(
                413, f"The body is larger than {most_bytes} bytes; send it in parts."
            )
    return bytes(body)


def _authorise(request: Request, token: str | None) -> None:
    """Also keeps web pages of other origins out: a browser names the page's origin."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, f"Requests from pages of {origin} are not taken.")
    if token is None:
        return
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode()):
        text = "Send the header `Authorization: Bearer …` with the token in HEADRACE_API_TOKEN."
        raise HTTPException(401, text, {"WWW-Authenticate": "Bearer"})
