"""From a problem file to a `Problem`, or to everything that is wrong with it at once."""

from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from shared.errors import UsageError
from shared.problem.consistency import consistency_mistakes
from shared.problem.hints import shape_mistakes
from shared.problem.mistakes import Mistake, dotted, nearest
from shared.problem.source import Source, YamlError, read_yaml
from shared.problem.spec import Problem

_STAND_INS: dict[str, Any] = {
    "name": "x",
    "goal": "x",
    "task": "binary",
    "events": {"fields": {"x": {"type": "number"}}},
    "label": {"field": "y"},
}


def load_problem(path: str | File) -> Problem:
    """The problem declared in the YAML file at `path`.

    Raises:
        UsageError: it cannot be read, or is wrong; the text has, for each mistake, file, line,
            column, field, what is wrong and what to write instead.
    """
    try:
        data = File(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: the problem file cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}, line {line}: the file is not UTF-8\n    save it as UTF-8"
        ) from error
    return parse_problem(text, str(path))


def parse_problem(text: str, name: str = "problem file") -> Problem:
    """The problem declared in the YAML `text`; `name` stands for it in messages.

    Raises:
        UsageError: see `load_problem`.
    """
    try:
        source = read_yaml(text)
    except YamlError as error:
        where = f"{name}, line {error.line}, column {error.column}"
        raise UsageError(f"{where}: {error.wrong}\n    write {error.write}") from error
    problem, mistakes = _checked(source)
    if problem is None or mistakes:
        raise UsageError(_report(name, source, mistakes))
    return problem


def problem_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of problem files, for editors."""
    schema = Problem.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _checked(source: Source) -> tuple[Problem | None, list[Mistake]]:
    """The problem, and what is wrong. Sections of a good shape are also checked for sense, with
    stand-ins for those that are not.
    """
    values, mistakes = source.values, list(source.mistakes)
    if not isinstance(values, dict):
        return None, [Mistake((), "the file is no section", "`key: value` lines: name, goal, ...")]
    problem, found = _shaped(source, values)
    mistakes += found
    broken = _broken(mistakes)
    if problem is None:
        kept = {k: v for k, v in values.items() if k in Problem.model_fields and k not in broken}
        problem, _ = _shaped(source, _STAND_INS | kept)
        broken |= set(_STAND_INS) - set(kept)
    if problem is not None:
        mistakes += consistency_mistakes(problem, broken)
    return problem, mistakes


def _shaped(source: Source, values: dict[str, Any]) -> tuple[Problem | None, list[Mistake]]:
    try:
        return Problem.model_validate(values), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return None, list(shape_mistakes(errors, values, source.places))


def _broken(mistakes: list[Mistake]) -> set[str]:
    """Sections that are not what their author means; an unknown one may be any that is like it."""
    names = {str(mistake.path[0]) for mistake in mistakes if mistake.path}
    known = list(Problem.model_fields)
    meant = {nearest(name, known).split("`")[1] for name in names if "`" in nearest(name, known)}
    return names | meant


def _report(name: str, source: Source, mistakes: list[Mistake]) -> str:
    blocks = []
    for mistake in sorted(mistakes, key=source.place):
        line, column = source.place(mistake)
        where = f"{name}, line {line}, column {column}: {dotted(mistake.path)}"
        blocks.append(f"{where}: {mistake.wrong}\n    write {mistake.write}")
    return "\n".join(blocks)
