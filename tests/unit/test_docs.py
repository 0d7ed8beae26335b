"""The documentation: it builds without a warning, nothing it links to is missing, and every page can be found."""

import ast
import importlib
import itertools
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from bot import ports
from bot.cli import app
from bot.config import Config
from bot.core.model import AttemptState, Mode, OutcomeState
from bot.options.declared_file import read_declaration
from bot.share import share

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


class Links(HTMLParser):
    """What a built page fetches, links to, and can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given["id"]} if "id" in given else set()
        if "src" in given:
            self.fetched.append(given["src"])
        if tag == "link" and "stylesheet" in given.get("rel", ""):
            self.fetched.append(given["href"])
        if tag == "a" and "href" in given:
            self.linked.append(given["href"])


def beside(name: str) -> ModuleType:
    """One of the programs that lie beside the pages."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def commands() -> ModuleType:
    """docs/command_reference.py."""
    return beside("command_reference")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `scripts/docs` builds them."""
    out = tmp_path_factory.mktemp("site")
    command = re.search(
        r"python (-m sphinx .*)$", (ROOT / "scripts/docs").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert command is not None
    replaced = {"docs": str(DOCS), "build/docs": str(out / "html"), "build/docs-cache": str(out / "cache")}
    arguments = [replaced.get(word, word) for word in command[1].split()]
    assert "-W" in arguments
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out / "html"


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Links]:
    """Every built page's links."""
    return {path.name: Links(path.read_text(encoding="utf-8")) for path in site.glob("*.html")}


def test_every_page_is_built(built: dict[str, Links]) -> None:
    assert {path.with_suffix(".html").name for path in PAGES} <= set(built)


def test_nothing_is_fetched_from_elsewhere(site: Path, built: dict[str, Links]) -> None:
    fetched = {one for links in built.values() for one in links.fetched}
    assert fetched
    assert [one for one in fetched if "//" in one] == []
    styles = " ".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]+", styles) == []


def test_every_link_and_picture_leads_somewhere(site: Path, built: dict[str, Links]) -> None:
    missing = []
    for page, links in built.items():
        for one in [*links.fetched, *links.linked]:
            if "//" in one or one.startswith(("mailto:", "data:")):
                continue
            path, _, place = one.split("?")[0].partition("#")
            there = (site / (path or page)).exists()
            known = built.get(path or page)
            if not there or (place and known is not None and place not in known.places):
                missing.append(f"{page}: {one}")
    assert missing == []


def test_every_page_is_one_click_from_the_first_and_every_key_two(built: dict[str, Links]) -> None:
    first = {link.partition("#")[0] for link in built["index.html"].linked}
    assert {path.with_suffix(".html").name for path in PAGES if path.stem != "index"} <= first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_work_in_the_folder_too(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).is_file()] == []


def test_the_first_page_lists_what_its_menu_lists() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
    entries = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    menu = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
    assert [link.removesuffix(".md") for link in re.findall(r"\]\((.+?\.md)\)", text)] == menu
    assert sorted([*menu, "index"]) == sorted(path.stem for path in PAGES)


def test_the_page_of_commands_is_that_of_the_program_of_today(commands: ModuleType) -> None:
    said = "docs/commands.md is not up to date: run `python docs/command_reference.py`"
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), said


def test_the_page_of_commands_names_every_command_and_option(commands: ModuleType) -> None:
    shown = commands.page()
    found = list(commands.all_commands(get_command(app)))
    assert len(found) > 20
    for name, command in found:
        section = re.search(rf"^## `{name}[ `].*?(?=^## |\Z)", shown, re.MULTILINE | re.DOTALL)
        assert section is not None, name
        options = {p.opts[0] for p in command.params if p.opts[0].startswith("--")} - commands.EVERYWHERE
        assert options == set(re.findall(r"^\| `(--[\w-]+)`", section[0], re.MULTILINE)), name


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`under` with the keys of `over`, table by table; a table of another kind takes its place."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        below = below[0] if isinstance(below, list) and isinstance(value, dict) else below
        if not isinstance(value, dict) or not isinstance(below, dict):
            result[key] = value
            continue
        same = value.get("kind", below.get("kind")) == below.get("kind")
        inner = merged(below, value) if same else value
        result[key] = [inner] if isinstance(result[key], list) else inner
    return result


TOML = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    )
]


@pytest.mark.parametrize("block", TOML)
def test_every_piece_of_configuration_that_is_shown_would_be_accepted(block: str, tmp_path: Path) -> None:
    assert len(TOML) > 5
    whole = tomllib.loads(share("config", "localnet.toml").read_text(encoding="utf-8"))
    numbers = itertools.count(1)
    piece = tomllib.loads(re.sub("0x…", lambda _: f"0x{next(numbers):040x}", block))
    if "as_of" in piece:  # what an operator declares lies in a file of its own
        (tmp_path / "declared.toml").write_text(block, encoding="utf-8")
        assert read_declaration("declared", tmp_path / "declared.toml").options
        return
    if "sources" in piece.get("books", {}):  # such as tell neither vols nor a spot
        whole["chains"]["mainnet"] = whole["chains"]["localnet"] | {"chain_id": 1}
        feed = {"kind": "chainlink", "name": "link", "address": "0x" + "ab" * 20, "heartbeat_s": 60}
        whole["books"][0] |= {"vols": {"kind": "constant", "vol": "0.8"}, "feeds": [feed]}
    context = {"folder": tmp_path, "secrets": False}
    Config.model_validate(merged(whole, piece), context=context)


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """docs/pictures.py."""
    return beside("pictures")


def test_every_picture_is_drawn_and_shown(pictures: ModuleType) -> None:
    drawn = {f"{name}.svg" for name in pictures.PICTURES}
    assert drawn == {path.name for path in (DOCS / "img").glob("*.svg")}
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(img/(concept-[^)]+)\)", text)) == drawn


def test_a_picture_is_the_same_bytes_each_time(pictures: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = pictures.draw("concept-band", tmp_path).read_bytes()
    assert first == pictures.draw("concept-band", tmp_path / "again").read_bytes()


def test_the_pictures_say_what_the_text_says(pictures: ModuleType) -> None:
    from one_day import RULES, day_of

    day = day_of(pictures.SEED)
    assert len(day.trades) >= 3
    assert all(not step.low < step.gap < step.high for step in day.trades), "a trade begins outside the band"
    for step in day.trades:
        after = step.gap + step.traded - step.centre
        assert abs(abs(after) - step.target) <= 0.01, "and ends at its line"
    held = [step for step in day.steps if not step.traded]
    assert all(step.low <= step.gap <= step.high for step in held)
    whole = sum(day.causes.values())
    assert abs(day.causes["unexplained"]) < 0.05 * abs(whole)
    assert RULES.interval_s == 900


def test_the_states_of_orders_and_modes_are_all_explained() -> None:
    drawn = (DOCS / "diagrams.py").read_text(encoding="utf-8")
    assert [s for s in (*OutcomeState, *AttemptState) if f"state.{s.name}" not in drawn] == []
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    assert [mode for mode in Mode if f"`{mode}`" not in text] == []


@pytest.mark.parametrize("name", ["OptionSource", "PerpVenue", "PriceFeed", "VolSource"])
def test_the_seams_are_those_of_the_code(name: str) -> None:
    text = (DOCS / "adding-a-protocol.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{name}` \|.*\| (.*) \|$", text, re.MULTILINE)
    assert row is not None
    tree = ast.parse(Path(str(ports.__file__)).read_text(encoding="utf-8"))
    (seam,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    assert re.findall(r"`(\w+)`", row[1]) == [n.name for n in seam.body if isinstance(n, ast.FunctionDef)]


def test_every_file_that_the_guide_to_a_new_protocol_names_is_there() -> None:
    text = re.sub(
        r"```.*?```", "", (DOCS / "adding-a-protocol.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    named = [name for name in re.findall(r"`([\w/]+\.(?:py|toml|md|json))`", text) if "NAME" not in name]
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    venues = {path.name for path in (ROOT / "bot/venues").glob("*.py")}
    assert len(named) > 15
    assert [n for n in named if not (ROOT / n).is_file() and n not in tests | venues] == []
