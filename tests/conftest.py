"""What all tests share: the `--long` option."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes many minutes")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes many minutes; run with --long")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether to try as much as takes many minutes."""
    return bool(request.config.getoption("--long"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="takes many minutes: --long")
        for item in items:
            if "long" in item.keywords:
                item.add_marker(skip)
