"""Whatever the file, `init` writes a problem file that loads, or says what is wrong."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import UsageError
from tests.unit.draft.drafting import drafted, written

WORDS = st.sampled_from(
    ["", "0", "1", "-1.5", "1e308", "1e-320", "1,5", "1.234,5", "?", "NA", "nan", "inf", "true", "no",
     "on", "a b", "ä", "日本", '"', "'", "#", "{", ": x", "2024-01-01", "01.02.2024", "12:30", "\x00",
     "20240101", "9" * 400, "1704067200", "null", "~", "- a", "x" * 300, "\u2028", "\ufeff"]
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(
        ["y", "id", "time", "key", "on", "a (cm)", "", "y_1", "x0", "null", "1", "a:b", "#"]
    ),
    st.text(max_size=6).filter(lambda text: not set(text) & set(',"\r\n')),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(NAMES, min_size=1, max_size=5),
    kinds=st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=5, max_size=5),
    rows=st.integers(0, 60),
    delimiter=st.sampled_from([",", ";", "\t", "|", " "]),
    broken=st.booleans(),
)
def test_any_table(
    names: list[str], kinds: list[list[str]], rows: int, delimiter: str, broken: bool
) -> None:
    def cell(row: int, column: int) -> str:
        text = kinds[column][(row * row + column) % len(kinds[column])]
        return text if broken else '"' + text.replace('"', '""') + '"'

    head = delimiter.join(f'"{name}"' for name in names)
    lines = [delimiter.join(cell(r, c) for c in range(len(names))) for r in range(rows)]
    with TemporaryDirectory() as folder:
        try:
            text = "\n".join([head, *lines]).encode("utf-8", "surrogatepass")
            found = drafted(written(Path(folder), "any.csv", text))
        except UsageError as error:
            assert "any.csv" in str(error)
            assert "the problem file for" not in str(error)  # what it writes loads
        else:
            assert found.problem.label.field


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.dictionaries(
            NAMES,
            st.one_of(
                WORDS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.none())
            ),
            max_size=5,
        ),
        max_size=30,
    )
)
def test_any_json_lines(rows: list[dict[str, object]]) -> None:
    import json

    with TemporaryDirectory() as folder:
        lines = "\n".join(map(json.dumps, rows))
        try:
            drafted(written(Path(folder), "any.jsonl", lines))
        except UsageError as error:
            assert "any.jsonl" in str(error) and "the problem file for" not in str(error)
