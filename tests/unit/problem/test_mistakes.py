"""Seeded mistakes in a good problem file: each is found, in its line, with what to write instead."""

import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UsageError
from shared.problem.load import load_problem, parse_problem

GOOD = """\
name: taxi
goal: Say how long a ride takes.
task: binary
source: {path: rides.csv, tick: 1h}
events:
  id: ride
  time: at
  key: zone
  allow_backwards: 5m
  fields:
    zone: {type: category, categories: [north, south]}
    fare: {type: number, range: [0, 500]}
    seats: {type: integer, required: false}
    paid: {type: boolean}
    note: {type: text, required: false}
    ended: {type: time, required: false}
  checks:
    - {name: plausible, expression: fare > 0 or not paid}
label:
  field: late
  classes: [false, true]
  delay: 30m
  wait: 2h
features:
  - {kind: calendar, parts: [hour, weekday], zone: Europe/Berlin}
  - {kind: lags, field: fare, by: [1, 2]}
  - {kind: window, field: fare, of: [mean, std], size: 10}
  - {kind: expression, name: change, formula: fare - fare_lag_1}
evaluation:
  metric: accuracy
  rules:
    - {name: dear, expression: fare > 20}
retraining:
  triggers:
    - {on: drift, causes: [concept_drift]}
    - {on: schedule, cron: "0 3 * * 1"}
  minimum: 500
  window: 5000
promotion: {min_pairs: 512, max_pairs: 2000}
"""
LINES = GOOD.splitlines()


class Seeded(NamedTuple):
    """Replace `old` (in the good file) by `new`; the mistake is in the line of `old` (or `line`)."""

    old: str
    new: str
    field: str
    wrong: str
    write: str
    line: int | None = None


SEEDED = [
    # keys
    Seeded("goal:", "gaol:", "gaol", "unknown key `gaol`", "`goal`"),
    Seeded("goal: Say how long a ride takes.\n", "", "goal", "`goal` is missing", "`goal: ", 1),
    Seeded("task: binary\n", "", "task", "`task` is missing", "`task: binary`", 1),
    Seeded("  allow_backwards", "  allow_backward", "events.allow_backward", "unknown", "`allow_backwards`"),
    Seeded("evaluation:", "evalution:", "evalution", "unknown key", "`evaluation`"),
    Seeded("  metric: accuracy", "  freshness: 5", "evaluation.freshness", "unknown", "under `model`"),
    Seeded("fare: {type: number, range", "fare: {type: number, rnage", "events.fields.fare.rnage", "unknown", "`range`"),
    Seeded("paid: {type: boolean}", "paid: {}", "events.fields.paid.type", "missing", "`type: number`"),
    Seeded("by: [1, 2]", "bye: [1, 2]", "features[1].bye", "unknown key", "`by`"),
    Seeded("  field: late\n", "", "label.field", "missing", "`field: rises`", 19),
    Seeded("task: binary", "task: binary\ntask: binary", "task", "stands here and in line 3", "only once", 4),
    Seeded("    seats:", "    5:", "events.fields.5", "not text", '`"5":`'),
    Seeded("    seats:", "    se-ats:", "events.fields.se-ats", "pattern", "letters, digits and _"),
    # values of a wrong shape
    Seeded("task: binary", "task: bniary", "task", "not allowed", "`binary`"),
    Seeded("task: binary", "task:", "task", "empty", "binary"),
    Seeded("name: taxi", "name: Taxi Rides", "name", "Taxi Rides", "lower-case"),
    Seeded("goal: Say how long a ride takes.", "goal: 5", "goal", "`5`", '"5"'),
    Seeded("goal: Say how long a ride takes.", "goal:", "goal", "empty", "some text"),
    Seeded("seats: {type: integer", "seats: {type: int", "events.fields.seats.type", "`int`", "`integer`"),
    Seeded("allow_backwards: 5m", "allow_backwards: 5 minutes", "events.allow_backwards", "5 minutes", "30m, 2h or 1d"),
    Seeded("allow_backwards: 5m", "allow_backwards: -5", "events.allow_backwards", "negative", "30m"),
    Seeded("allow_backwards: 5m", "allow_backwards: true", "events.allow_backwards", "write a duration", "30m"),
    Seeded("tick: 1h", "tick: 0s", "source.tick", "positive", "1h"),
    Seeded("range: [0, 500]", "range: [0]", "events.fields.fare.range[1]", "missing", "", ),
    Seeded("range: [0, 500]", "range: 500", "events.fields.fare.range", "500", "[low, high]"),
    Seeded("range: [0, 500]", "range: [0, much]", "events.fields.fare.range[1]", "much", "a number"),
    Seeded("required: false}\n    paid", "required: maybe}\n    paid", "events.fields.seats.required", "maybe", "true or false"),
    Seeded("by: [1, 2]", "by: 1", "features[1].by", "`1`", "a list"),
    Seeded("by: [1, 2]", "by: [0]", "features[1].by[0]", "`0`", "1 or more"),
    Seeded("by: [1, 2]", "by: [1, two]", "features[1].by[1]", "two", "a whole number"),
    Seeded("kind: lags", "kind: lag", "features[1].kind", "`lag`", "`lags`"),
    Seeded("kind: lags, ", "", "features[1].kind", "missing", "`kind: lags`"),
    Seeded("on: drift", "on: drfit", "retraining.triggers[0].on", "drfit", "`drift`"),
    Seeded("of: [mean, std]", "of: [average]", "features[2].of[0]", "average", "mean"),
    Seeded("promotion: {min_pairs: 512, max_pairs: 2000}", "promotion: fast", "promotion", "fast", "policy"),
    # what does not make sense
    Seeded("range: [0, 500]", "range: [500, 0]", "events.fields.fare.range", "500 is not below 0", "[0, 500]"),
    Seeded("range: [0, 500]", "range: [0, .inf]", "events.fields.fare.range[1]", "inf", "null"),
    Seeded("key: zone", "key: zoen", "events.key", "no field `zoen`", "`zone`"),
    Seeded("key: zone", "key: fare", "events.key", "number", "category"),
    Seeded("time: at", "time: note", "events.time", "of type text", "time"),
    Seeded("categories: [north, south]", "categories: [north, north]", "events.fields.zone.categories[1]", "twice", "once"),
    Seeded(", categories: [north, south]", "", "events.fields.zone", "one column each", "`encode: hash`"),
    Seeded("paid: {type: boolean}", "paid: {type: boolean, range: [0, 1]}", "events.fields.paid.range", "nothing here", "without"),
    Seeded("note: {type: text,", "note: {type: text, missing: mean,", "events.fields.note.missing", "no mean", "last"),
    Seeded("fare > 0 or not paid", "fair > 0", "events.checks[0].expression", "`fair`", "`fare`"),
    Seeded("fare > 0 or not paid", "fare >", "events.checks[0].expression", "not a formula", "price - "),
    Seeded("fare > 0 or not paid", "zone > 0", "events.checks[0].expression", "text", "quoted"),
    Seeded("fare > 0 or not paid", "import os", "events.checks[0].expression", "not a formula", ""),
    Seeded("fare > 0 or not paid", "fare.real > 0", "events.checks[0].expression", "not allowed", "arithmetic"),
    Seeded("expression: fare > 0 or not paid", "reason: so", "events.checks[0]", "one of the two", "expression"),
    Seeded("field: late", "field: fare", "label.field", "known beforehand", "without `fare`"),
    Seeded("classes: [false, true]", "classes: [a, b, c]", "label.classes", "two classes", "multiclass"),
    Seeded("classes: [false, true]", "classes: [1, 1]", "label.classes[1]", "twice", "once"),
    Seeded("task: binary", "task: regression", "label.classes", "no classes", "`range", 21),
    Seeded("metric: accuracy", "metric: mae", "evaluation.metric", "does not fit", "accuracy or log_loss"),
    Seeded("delay: 30m", "delay: 30m\n  delay_events: 1", "label.delay_events", "both", "one of them", 23),
    Seeded("wait: 2h", "wait: 10m", "label.wait", "shorter", "longer"),
    Seeded("wait: 2h", "default: 7", "label.default", "no class", "false"),
    Seeded("zone: Europe/Berlin", "zone: Berlin", "features[0].zone", "no time zone", "Europe/Berlin"),
    Seeded("zone: Europe/Berlin", "zone: ../../etc/passwd", "features[0].zone", "no time zone", "UTC"),
    Seeded("field: fare, by", "field: fair, by", "features[1].field", "`fair`", "`fare`"),
    Seeded("field: fare, by", "field: note, by", "features[1].field", "text", "fare"),
    Seeded("std], size: 10", "std]", "features[2]", "one of the two", "`size: 48`"),
    Seeded("std], size: 10", "std], size: 10, span: 1d", "features[2]", "one of the two", "`size: 48`"),
    Seeded("formula: fare - fare_lag_1", "formula: fare - fare_lag_3", "features[3].formula", "fare_lag_3", "`fare_lag_"),
    Seeded("name: change,", "name: fare,", "features[3]", "there already", "own name"),
    Seeded("expression: fare > 20", "expression: zone_is_nroth", "evaluation.rules[0].expression", "nroth", "`zone_is_north`"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 3 * *"', "retraining.triggers[1].cron", "4 fields", "0 3 * * 1"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 25 * * 1"', "retraining.triggers[1].cron", "0 to 23", "0 3 * * 1"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 3 30 2 *"', "retraining.triggers[1].cron", "never", "0 3 * * 1"),
    Seeded("causes: [concept_drift]", "causes: [drift]", "retraining.triggers[0].causes[0]", "`drift`", "drift"),
    Seeded("window: 5000", "window: 100", "retraining.window", "below", "500"),
    Seeded("max_pairs: 2000", "max_pairs: 100", "promotion.max_pairs", "below", "512"),
    # YAML itself
    Seeded("  time: at", "\ttime: at", "", "not YAML", "spaces instead of tabs"),
    Seeded("goal: Say how", "goal: Say: how", "", "not YAML", "quotes"),
    Seeded("classes: [false, true]", "classes: [false, true", "", "not YAML", "", 22),
    Seeded("range: [0, 500]", "range: *bounds", "", "alias", "the value itself"),
    Seeded("range: [0, 500]", "range: !!python/object:os.system x", "events.fields.fare.range", "not read", "plain"),
]  # fmt: skip


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
    import yaml

    values = yaml.safe_load(GOOD.replace("on:", '"on":')) | {section: value}
    try:
        parse_problem(yaml.safe_dump(values, allow_unicode=True))
    except UsageError as error:
        assert "line" in str(error)
