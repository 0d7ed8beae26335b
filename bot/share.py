"""Where the files that travel with the package lie: `abis/` and `config/`."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def share(*parts: str) -> Path:
    """A shipped file's path, in an installed wheel (`bot/share/…`) or in a checkout (beside `bot/`)."""
    installed = PACKAGE / "share"
    return (installed if installed.is_dir() else PACKAGE.parent).joinpath(*parts)
