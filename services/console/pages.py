"""From a view to HTML: Jinja2 with everything escaped, whatever an event carries."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.console import policy
from services.console.data import Asked, DataPage
from services.console.snapshot import View
from services.console.words import count, duration, number
from shared.problem.spec import Problem

PANELS = ("head", "scores", "coverage", "alerts", "jobs", "models", "audit", "rejected")
STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """The templates, with what those of every page need."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {"count": count, "unit": _unit}
    made.filters |= filters
    return made


class Pages:
    """The templates of one problem's page."""

    def __init__(self, problem: Problem, token: str) -> None:
        self._environment = environment()
        self._environment.globals |= {
            "problem": problem,
            "policy": policy,
            "token": token,
            "tile": duration(problem.profile.tile.total_seconds()),
            "regression": problem.task == "regression",
        }
        filters: dict[str, Callable[..., str]] = {
            "figure": _figure,
            "value": self._value,
            "gap": self._gap,
        }
        self._environment.filters |= filters
        self._regression = problem.task == "regression"

    def page(self, view: View, host: str) -> str:
        """The whole page."""
        return self._render("page.html", view, host)

    def label(self, view: View, host: str) -> str:
        """The page on which people answer requests for labels."""
        return self._render("label.html", view, host)

    def panels(self, view: View, host: str) -> dict[str, str]:
        """The parts that change, by name."""
        return {name: self._render(f"{name}.html", view, host) for name in PANELS}

    def data(self, data: DataPage, asked: Asked, whole: bool) -> str:
        """The data page, or only the part of it that changes."""
        name = "data.html" if whole else "data_now.html"
        query = urlencode({"source": asked.source, "span": asked.span, "model": asked.model})
        return self._environment.get_template(name).render(data=data, query=query)

    def _render(self, name: str, view: View, host: str) -> str:
        return self._environment.get_template(name).render(view=view, host=host)

    def _value(self, value: float | None) -> str:
        if value is None:
            return "–"
        return number(value) if self._regression else f"{100 * value:.1f} %"

    def _gap(self, value: float | None, signed: bool = True) -> str:
        if value is None:
            return "–"
        text = number(value) if self._regression else f"{100 * value:.1f}"
        return f"+{text}" if signed and value >= 0 else text


def _unit(value: float) -> str:
    """A place in a picture."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _figure(value: float) -> str:
    """Three digits, and no minus zero."""
    return f"{value:.3f}".replace("-0.000", "0.000")


def said(kind: str, text: str) -> str:
    """One line for the page's live region."""
    bare = Environment(autoescape=True)
    return bare.from_string('<p class="said {{ kind }}">{{ text }}</p>').render(
        kind=kind, text=text
    )
