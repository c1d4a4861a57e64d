"""From a view to HTML: Jinja2 with everything escaped, whatever an event carries."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.console import policy
from services.console.snapshot import View
from services.console.words import count, number
from shared.problem.spec import Problem

PANELS = ("head", "scores", "alerts", "jobs", "models", "audit", "rejected")
STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """The templates of one problem's page."""

    def __init__(self, problem: Problem, token: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "problem": problem,
            "policy": policy,
            "token": token,
            "regression": problem.task == "regression",
        }
        filters: dict[str, Callable[..., str]] = {
            "figure": _figure,
            "count": count,
            "value": self._value,
            "gap": self._gap,
        }
        self._environment.filters |= filters
        self._regression = problem.task == "regression"

    def page(self, view: View, host: str) -> str:
        """The whole page."""
        return self._render("page.html", view, host)

    def panels(self, view: View, host: str) -> dict[str, str]:
        """The parts that change, by name."""
        return {name: self._render(f"{name}.html", view, host) for name in PANELS}

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


def _figure(value: float) -> str:
    """Three digits, and no minus zero."""
    return f"{value:.3f}".replace("-0.000", "0.000")


def said(kind: str, text: str) -> str:
    """One line for the page's live region."""
    environment = Environment(autoescape=True)
    return environment.from_string('<p class="said {{ kind }}">{{ text }}</p>').render(
        kind=kind, text=text
    )
