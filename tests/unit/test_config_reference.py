"""The configuration's reference: every key of every table with its own sentence, and made from the models of today."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, SecretStr

from bot.config import Config
from bot.config.feeds import FeedModel
from bot.config.fields import Model
from bot.config.limits import BudgetsConfig
from bot.config.policies import RiskConfig

DOCS = Path(__file__).parents[2] / "docs"
BASES = {BudgetsConfig, FeedModel, RiskConfig}
"""What other models begin with, and no table is of."""


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/config_reference.py."""
    sys.path.insert(0, str(DOCS))
    try:
        import config_reference as found
    finally:
        sys.path.remove(str(DOCS))
    return found


def models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that derive from one."""
    return {m for one in model.__subclasses__() for m in {one, *models_below(one)}}


def test_every_model_of_the_configuration_has_a_section(reference: ModuleType) -> None:
    shown = {table.model for table in reference.tables()}
    ours = {model for model in models_below(Model) if model.__module__.startswith("bot.config")}
    ours -= {model for model in ours if model.__module__ == "bot.config.deployment"}  # of a file of its own
    assert ours - BASES == shown


def test_every_key_has_a_sentence_of_its_own(reference: ModuleType) -> None:
    missing = [
        f"{table.model.__name__}.{name}"
        for table in reference.tables()
        for name, field in table.model.model_fields.items()
        if not (field.description or "").strip().endswith(".")
    ]
    assert missing == []


def test_the_page_is_that_of_the_models_of_today(reference: ModuleType) -> None:
    said = "docs/configuration-reference.md is not up to date: run `python docs/config_reference.py`"
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), said


def test_the_page_names_every_key_in_its_own_table(reference: ModuleType) -> None:
    sections = dict(part.split("\n", 1) for part in reference.page().split("\n## ")[1:])
    for table in reference.tables():
        keys = [line.split("`")[1] for line in sections[table.title].splitlines() if line.startswith("| `")]
        assert keys == [name for name in table.model.model_fields if name != "kind"], table.title


def test_nothing_secret_has_a_default() -> None:
    secret = [
        (model.__name__, name)
        for model in models_below(Model)
        for name, field in model.model_fields.items()
        if "SecretStr" in repr(field.annotation) and field.default not in (None, ())
        if not field.is_required()
    ]
    assert secret == []
    assert any(
        "SecretStr" in repr(f.annotation) for m in models_below(Model) for f in m.model_fields.values()
    )


class Sample(Model):
    """Made up: one of each kind of value."""

    whole_s: int = 3
    """Any time."""
    secret: SecretStr | None = None
    """Hidden."""


def test_bounds_units_and_defaults_are_in_words(reference: ModuleType) -> None:
    rows = {line.split("`")[1]: line for line in reference.page().splitlines() if line.startswith("| `")}
    assert '| amount, at least 0, at most 1.5 | `"1"` |' in rows["hedge_ratio"]
    assert "| amount of USD, above 0 | *none* |" in rows["max_fees_day_usd"]
    assert "| amount, above 0, below 1 | *none* |" in rows["max_price_move"]
    assert "| whole number of hours, at least 0, at most 168 | `24` |" in rows["heartbeat_hours"]
    assert '| `"usd"` or `"coin"` | `"usd"` |' in rows["numeraire"]
    assert "| list: web address, or a secret, at least one | *required* |" in rows["rpc_urls"]
    assert '| secret, or `"prompt"` | *required* |' in rows["password"]
    assert "| `true` or `false` | *required* |" in rows["hedge_holdings"]


def test_a_key_without_a_sentence_would_be_found(reference: ModuleType) -> None:
    bare = type("Bare", (Model,), {"__annotations__": {"key": int}, "__module__": "somewhere"})
    assert bare.model_fields["key"].description is None
    assert Config.model_fields["mode"].description
    assert Sample.model_fields["whole_s"].description == "Any time."
