# ruff: noqa: E501  # a table: one mistake a line
"""A good problem file, and mistakes to make in it."""

from typing import NamedTuple

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
  candidates: [logistic, svm]
  search: {method: halving, space: {svm: {gamma: [0.1]}}}
promotion: {min_pairs: 512, max_pairs: 2000}
"""


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
    Seeded("note: {type: text,", "note: {type: text, pattern: '(',", "events.fields.note.pattern", "no pattern", "regular expression"),
    Seeded("note: {type: text,", r"note: {type: text, pattern: '(a)\1',", "events.fields.note.pattern", "no pattern", "regular expression"),
    Seeded("paid: {type: boolean}", "paid: {type: boolean, pattern: x}", "events.fields.paid.pattern", "nothing here", "without"),
    Seeded("north, south]", "north, south], pattern: n.*", "events.fields.zone.pattern", "beside `categories`", "without"),
    Seeded("paid: {type: boolean}", "paid: {type: boolean, absent_in: [serving]}", "events.fields.paid.absent_in", "which environment", "`environment: KEY`"),
    Seeded("allow_backwards: 5m", "allow_late: -5", "events.allow_late", "negative", "30m"),
    Seeded("allow_backwards: 5m", "idle_after: 5m", "events.idle_after", "no watermark", "`allow_late"),
    Seeded("expression: fare > 0 or not paid", "expression: fare > 0, window: 5", "events.checks[0].window", "one event", "`function"),
    Seeded("note: {type: text,", "note: {type: text, missing: median,", "events.fields.note.missing", "no median", "mode"),
    Seeded("note: {type: text,", "note: {type: text, outliers: clip,", "events.fields.note.outliers", "nothing here", "without"),
    Seeded("range: [0, 500]", "outlier_limit: 3", "events.fields.fare.outlier_limit", "without `outliers`", "without"),
    Seeded("seats: {type: integer,", "seats: {type: integer, feature: false, scale: minmax,", "events.fields.seats.scale", "`feature: false`", "without"),
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
    Seeded("  metric: accuracy", "  slices: [{name: dear, expression: far > 20}]", "evaluation.slices[0].expression", "far", "`fare`"),
    Seeded("wait: 2h", "conflict: median", "label.conflict", "no middle", "`majority`"),
    Seeded("wait: 2h", "conflict: priority", "label.conflict", "order", "labellers"),
    Seeded("delay: 30m\n", "conflict: newest\n  revisions: 2\n", "label.revisions", "not counted", "no `revisions`", 23),
    Seeded("wait: 2h", "requests: {budget: 5, window: 0s}", "label.requests.window", "positive", "1d"),
    Seeded("promotion: {min_pairs: 512, max_pairs: 2000}", "audit: {window: 0s}", "audit.window", "positive", "1d"),
    Seeded("std], size: 10", "std]", "features[2]", "one of them", "`size: 48`"),
    Seeded("std], size: 10", "std], size: 10, span: 1d", "features[2]", "one of them", "`size: 48`"),
    Seeded("std], size: 10", "rate], size: 10", "features[2].of", "values an hour", "`span: 1d`"),
    Seeded("std], size: 10", "std], tumbling: 0s", "features[2].tumbling", "positive", "1d"),
    Seeded("formula: fare - fare_lag_1", "formula: fare - fare_lag_3", "features[3].formula", "fare_lag_3", "`fare_lag_"),
    Seeded("name: change,", "name: fare,", "features[3]", "there already", "own name"),
    Seeded("expression: fare > 20", "expression: zone_is_nroth", "evaluation.rules[0].expression", "nroth", "`zone_is_north`"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 3 * *"', "retraining.triggers[1].cron", "4 fields", "0 3 * * 1"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 25 * * 1"', "retraining.triggers[1].cron", "0 to 23", "0 3 * * 1"),
    Seeded('cron: "0 3 * * 1"', 'cron: "0 3 30 2 *"', "retraining.triggers[1].cron", "never", "0 3 * * 1"),
    Seeded("promotion: {min_pairs: 512, max_pairs: 2000}", "promotion: {guards: [{metric: mae}]}", "promotion.guards[0].metric", "does not fit the task binary", "accuracy or log_loss"),
    Seeded("{on: drift, causes: [concept_drift]}", "{on: votes, need: 3, among: [{on: drift}, {on: volume, outcomes: 50}]}", "retraining.triggers[0].need", "3 of 2", "at most 2"),
    Seeded("causes: [concept_drift]", "causes: [drift]", "retraining.triggers[0].causes[0]", "`drift`", "drift"),
    Seeded("window: 5000", "window: 100", "retraining.window", "below", "500"),
    Seeded("max_pairs: 2000", "max_pairs: 100", "promotion.max_pairs", "below", "512"),
    Seeded("candidates: [logistic,", "candidates: [logistics,", "retraining.candidates[0]", "`logistics`", "`logistic`"),
    Seeded("{method: halving", "{method: halfing", "retraining.search.method", "halfing", "halving"),
    Seeded("space: {svm:", "space: {tree:", "retraining.search.space.tree", "not among", "logistic, svm"),
    Seeded("{gamma: [0.1]}", "{gama: [0.1]}", "retraining.search.space.svm.gama", "no setting", "`gamma`"),
    # YAML itself
    Seeded("  time: at", "\ttime: at", "", "not YAML", "spaces instead of tabs"),
    Seeded("goal: Say how", "goal: Say: how", "", "not YAML", "quotes"),
    Seeded("classes: [false, true]", "classes: [false, true", "", "not YAML", "", 22),
    Seeded("range: [0, 500]", "range: *bounds", "", "alias", "the value itself"),
    Seeded("range: [0, 500]", "range: !!python/object:os.system x", "events.fields.fare.range", "not read", "plain"),
]  # fmt: skip
