"""Where a deployment's contracts are: a small JSON file that the local chain writes and `vaultkeel init` starts from.

It names the few contracts from which the others can be read, and holds no secret.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from bot.config.fields import Address, Model, Whole
from bot.config.file import explain
from bot.errors import ConfigError

DEPLOYMENT_FILE = "deployment.json"


class VaultRoots(Model):
    """Lyra Avalon: the viewer, which lists its markets, and the option market. Without a market one is chosen."""

    kind: Literal["lyra"] = "lyra"
    viewer: Address
    market: Address | None = None
    exchange_adapter: Address | None = None


class CurieRoots(Model):
    """Perpetual Protocol v2: what its other contracts are read from."""

    kind: Literal["curie"]
    clearing_house: Address
    base_token: Address
    quoter: Address


class GmxRoots(Model):
    """GMX v2: its contracts, which don't name each other, the market and the feeds of its prices."""

    kind: Literal["gmx"]
    router: Address
    exchange_router: Address
    reader: Address
    data_store: Address
    event_emitter: Address
    order_vault: Address
    order_handler: Address
    referral_storage: Address
    market: Address
    index_feed: Address
    long_feed: Address
    short_feed: Address


class Deployment(Model):
    """One chain's. `account` is whose position may be watched, `instance` a local chain's own id."""

    chain: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")]
    chain_id: Whole
    instance: str = ""
    rpc_urls: tuple[str, ...] = ()
    account: Address | None = None
    multicall: Address | None = None
    vault: VaultRoots
    venue: Annotated[CurieRoots | GmxRoots, Field(discriminator="kind")]


def load_deployment(path: Path) -> Deployment:
    """The deployment of a file. ConfigError in one line where it can't be read, or says something else."""
    try:
        return Deployment.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {explain(error, Deployment)}") from None
