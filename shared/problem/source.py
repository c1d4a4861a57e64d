"""YAML to plain values, each with its place.

YAML 1.2's core schema: `on`, `yes`, `12:30` and dates are text, only true and false are booleans.
Refused: a key twice, keys that are not text, tags, more than `_MOST` values (aliases count each
time that they are used), nesting beyond `_DEPTH`.
"""

import re
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.problem.mistakes import SECOND, Mistake, Path

_MOST = 50_000
_DEPTH = 40
_MAX_CHARACTERS = 2_000_000


class Place(NamedTuple):
    """Where a key and its value begin; lines and columns count from 1."""

    key: tuple[int, int]
    value: tuple[int, int]


class Source(NamedTuple):
    """What a file says: `values`, the `places` of all of them, what is wrong with it as YAML."""

    values: Any
    places: dict[Path, Place]
    mistakes: list[Mistake]

    def place(self, mistake: Mistake) -> tuple[int, int]:
        """Line and column of a mistake: of the nearest thing above it that is in the file."""
        path = mistake.path
        while path not in self.places and path:
            path = path[:-1]
        place = self.places.get(path, Place((1, 1), (1, 1)))
        return place.value if path == mistake.path and not mistake.key else place.key


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  # PyYAML's own declaration


def _resolver(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolver("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolver("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_resolver("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789")
_resolver(
    "float",
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    "-+.0123456789",
)


class YamlError(ValueError):
    """The text is no YAML; `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, wrong: str, write: str) -> None:
        super().__init__(wrong)
        self.line, self.column, self.wrong, self.write = line, column, wrong, write


def read_yaml(text: str) -> Source:
    """The values in `text`.

    Raises:
        YamlError: it cannot be parsed at all.
    """
    if len(text) > _MAX_CHARACTERS:
        raise YamlError(1, 1, f"the file has {len(text):,} characters", "use a smaller file")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _explained(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, 1, f"{error.reason}: {error.character!r}", "remove it") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(1, 1, f"the file cannot be read: {error}", "write plain YAML") from error
    if node is None:
        raise YamlError(1, 1, "the file is empty", "start from examples/electricity/problem.yaml")
    return _Reader().read(node)


_ADVICE = {
    "\\t": "spaces instead of tabs",
    "mapping values are not allowed": 'quotes around text that holds ": "',
    "could not find expected ':'": "`key: value`, with a space after the colon",
    "expected <block end>": "keys of one section under each other, with the same indentation",
    "while parsing a flow": "a comma between entries, and the closing bracket",
    "while scanning a quoted": "the closing quote",
    "undefined alias": "the value itself",
}


def _explained(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    wrong = " ".join(str(part) for part in (error.context, error.problem) if part)
    write = next((advice for clue, advice in _ADVICE.items() if clue in wrong), "plain YAML")
    return YamlError(line, column, f"this is not YAML: {wrong}", write)


class _Reader:
    """Walks the nodes once, aliases as often as they are used."""

    def __init__(self) -> None:
        self._count = 0
        self._source = Source(None, {}, [])

    def read(self, node: Node) -> Source:
        places = self._source.places
        places[()] = Place((1, 1), _start(node))
        return self._source._replace(values=self._value(node, ()))

    def _value(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > _MOST or len(path) > _DEPTH:
            if self._count <= _MOST + 1 or len(path) == _DEPTH + 1:
                self._wrong(path, "there is too much in here", "less, without nested aliases")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        try:
            return _scalar(node)
        except ValueError:
            self._wrong(path, f"`{str(node.value)[:40]}` ({node.tag}) is not read", "plain YAML")
            return None

    def _item(self, node: Node, path: Path) -> Any:
        if self._count > _MOST:
            return None
        self._source.places[path] = Place(_start(node), _start(node))
        return self._value(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if self._count > _MOST:
                break
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            here = (*path, str(key))
            if key is None or not key_node.tag.endswith(":str"):
                self._source.places.setdefault(here, Place(_start(key_node), _start(value_node)))
                self._wrong(here, f"the key `{key}` is not text", f'`"{key}":`')
                continue
            if key in result:
                first = self._source.places[here].key[0]
                twice = (*here, SECOND)
                self._source.places[twice] = Place(_start(key_node), _start(value_node))
                self._wrong(twice, f"`{key}` stands here and in line {first}", "it only once")
                continue
            self._source.places[here] = Place(_start(key_node), _start(value_node))
            result[key] = self._value(value_node, here)
        return result

    def _wrong(self, path: Path, wrong: str, write: str) -> None:
        self._source.mistakes.append(Mistake(path, wrong, write, key=True))


def _start(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    raise ValueError(kind)
