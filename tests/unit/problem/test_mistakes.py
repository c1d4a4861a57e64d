"""Seeded mistakes in a good problem file: each is found, in its line, with what to write instead."""

import re

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UsageError
from shared.problem.load import load_problem, parse_problem, problem_schema
from tests.unit.problem.seeded import GOOD, SEEDED, Seeded


def report(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_problem(text, "p.yaml")
    return str(caught.value)


def test_the_good_file_is_good() -> None:
    problem = parse_problem(GOOD)
    assert problem.feature_names[-1] == "change"


@pytest.mark.parametrize("seeded", SEEDED, ids=lambda s: f"{s.field}:{s.new.strip()[:30]}")
def test_seeded_mistake(seeded: Seeded) -> None:
    assert GOOD.count(seeded.old) == 1, "the seed is ambiguous"
    text = report(GOOD.replace(seeded.old, seeded.new))
    line = seeded.line or GOOD[: GOOD.index(seeded.old)].count("\n") + 1
    blocks = re.split(r"\n(?=p\.yaml)", text)
    where = re.compile(rf"p\.yaml, line {line}, column \d+: {re.escape(seeded.field)}")
    found = [block for block in blocks if where.match(block) and seeded.wrong in block]
    assert found, text
    assert seeded.write in found[0].split("\n    write ")[1], text


def test_all_mistakes_at_once() -> None:
    text = GOOD.replace("task: binary", "task: bniary").replace("fare - fare_lag_1", "fare -")
    text = text.replace("window: 5000", "window: 100").replace("tick: 1h", "tick: soon")
    lines = [int(line) for line in re.findall(r"p\.yaml, line (\d+)", report(text))]
    assert lines == [3, 4, 28, 38]


def test_a_misspelt_section_raises_no_false_alarms() -> None:
    assert report(GOOD.replace("features:", "feautres:")).count("p.yaml, line") == 1


def test_a_misspelt_key_is_one_mistake() -> None:
    assert report(GOOD.replace("paid: {type", "paid: {tpye")).count("p.yaml, line") == 1


def test_the_schema_takes_good_files() -> None:
    values = yaml.safe_load(GOOD.replace("{on:", '{"on":'))
    jsonschema.Draft202012Validator.check_schema(problem_schema())
    jsonschema.validate(values, problem_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values | {"task": "bniary"}, problem_schema())
    values["label"]["delay"] = "30 minutes"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, problem_schema())


def test_files_that_cannot_be_read(tmp_path) -> None:
    for content, clue in ((b"\xff\xfe", "UTF-8"), (b"", "empty"), (b"- 1", "key: value")):
        (tmp_path / "p.yaml").write_bytes(content)
        with pytest.raises(UsageError, match=clue):
            load_problem(tmp_path / "p.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_problem(tmp_path / "absent.yaml")


def test_bombs_are_refused_fast() -> None:
    laughs = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "too much" in report(laughs)
    assert "too much" in report("a: &a [*a]")
    report("[" * 100_000)
    report("a: " + "{a: " * 500)
    report("9" * 10_000 + ": 1\nname: " + "9" * 10_000)


def test_words_that_yaml_1_1_would_change() -> None:
    problem = parse_problem(GOOD.replace("[north, south]", "[no, 12:30, 2020-01-01]"))
    assert problem.events.fields["zone"].categories == ["no", "12:30", "2020-01-01"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutations_raise_usage_errors_only(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(st.one_of(_SNIPPETS, st.text(max_size=5))) + text[end:]
    try:
        parse_problem(text)
    except UsageError as error:
        assert "line" in str(error)


_SNIPPETS = st.sampled_from(
    ["", ":", "- ", "{", "}", "[", "]", "null", ".nan", "1e999", "-1", "on", "!!set", "&a", "*a", "<<",
     "\n", "  ", "\t", "'", '"', "#", "? ", "|", "9" * 400, "type", "kind: window", "{}", "[]", "%"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "task", "events", "fields", "kind", "by", "field", "type"]
                ),
                inner,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["events", "label", "features", "retraining", "evaluation", "source", "name"]),
)
def test_any_value_anywhere_raises_usage_errors_only(value: object, section: str) -> None:
    values = yaml.safe_load(GOOD.replace("{on:", '{"on":')) | {section: value}
    try:
        parse_problem(yaml.safe_dump(values, allow_unicode=True))
    except UsageError as error:
        assert "line" in str(error)
