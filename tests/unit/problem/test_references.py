"""Mistakes in sections on references and lookups: found, with what to write instead."""

import re

import pytest

from shared.errors import UsageError
from shared.problem.load import parse_problem

GOOD = """\
name: shop
goal: Say which orders come back.
task: binary
events:
  key: customer
  fields:
    customer: {type: text}
    seller: {type: integer}
    amount: {type: number}
references:
  customers:
    key: customer
    path: customers.csv
    time: since
    fields:
      segment: {type: category, categories: [gold, "very good"]}
      limit: {type: number}
label: {field: returned, classes: [0, 1]}
features:
  - {kind: lookup, reference: customers}
  - {kind: lookup, reference: customers, by: seller, fields: [limit], name: seller_is}
  - {kind: expression, name: over, formula: amount - customers_limit}
  - {kind: expression, name: gold, formula: customers_segment == "gold"}
"""


def test_what_is_looked_up_are_features_and_names_in_formulas() -> None:
    names = parse_problem(GOOD).feature_names
    assert names[-6:] == (
        "customers_segment_is_gold", "customers_segment_is_very_good", "customers_limit",
        "seller_is_limit", "over", "gold",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "where", "wrong", "write"),
    [
        ("reference: customers}", "reference: custmers}", r"features\[0\].reference",
         "no reference `custmers`", "`customers`"),
        ("[limit]", "[limits]", r"features\[1\].fields\[0\]", "no field `limits`", "`limit`"),
        ("[limit]", "[]", r"features\[1\].fields", "at least 1", "at least 1"),
        ("by: seller", "by: amount", r"features\[1\].by", "is no key", "customer, seller"),
        ("key: customer\n    path", "key: costumer\n    path", "references.customers.key",
         "no field `costumer`", "`customer`"),
        ("    path: customers.csv\n", "", "references.customers.time", "there is none", "`path"),
        ("limit: {type: number}", "limit: {type: number, scale: minmax}",
         "references.customers.fields.limit.scale", "no past of its own", "without it"),
        ("limit: {type: number}", "limit: {type: number, missing: mean}",
         "references.customers.fields.limit.missing", "fields of events", "keep, reject or flag"),
        ("limit: {type: number}", "limit: {type: number, range: [3, 1]}",
         "references.customers.fields.limit.range", "not below", "[1, 3]"),
        ("    time: since\n", "    expire: 0s\n", "references.customers.expire", "positive", "90d"),
        (", name: seller_is", "", r"features\[1\]", "`customers_limit` is there already", "once"),
        ("customers_segment ==", "customers_segmnt ==", r"features\[3\].formula",
         "no field or feature `customers_segmnt`", "`customers_segment`"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(old: str, new: str, where: str, wrong: str, write: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(UsageError) as caught:
        parse_problem(GOOD.replace(old, new), "p.yaml")
    blocks = re.split(r"\n(?=p\.yaml)", str(caught.value))
    found = [b for b in blocks if re.match(rf"p\.yaml, line \d+, column \d+: {where}: ", b)]
    assert found, caught.value
    assert wrong in found[0]
    assert write in found[0].split("\n    write ")[1]


def test_a_reference_that_nothing_looks_up_is_a_mistake() -> None:
    text = re.sub(r"  - .*\n", "", GOOD).replace("features:\n", "features: []\n")
    with pytest.raises(UsageError, match="nothing looks it up"):
        parse_problem(text)
