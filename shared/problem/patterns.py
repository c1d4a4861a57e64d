"""Regular expressions over what producers send: in linear time, whatever they send."""

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema


def matcher(pattern: str) -> Callable[[str], bool]:
    """Says of a text whether the whole of it matches `pattern` (syntax of Rust's `regex`, as RE2's).

    Python's own `re` backtracks: a crafted text could hold a service up for hours.

    Raises:
        ValueError: it is no such expression (look-around and back-references are none).
    """
    schema = core_schema.str_schema(pattern=f"^(?:{pattern})$", regex_engine="rust-regex")
    try:
        return SchemaValidator(schema).isinstance_python
    except SchemaError as error:
        raise ValueError(str(error).strip().splitlines()[-1].strip()) from error
