"""A configuration's first use, before it is written: every part is read as a tick reads it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.app.chains import make_access
from bot.app.parts import make_source
from bot.app.signers import make_signer
from bot.app.venues import make_venue
from bot.chain.reads import drive
from bot.config import Config
from bot.core.inputs import spot_of
from bot.core.model import SourceState, VenueState
from bot.errors import ConfigError
from bot.ports import Part, UptimeFeed
from bot.setup.reading import Chain, require_code

FAR = Decimal("0.2")
"""Two spots that differ by more are not of one underlying."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parts said: spots in USD, how many option positions there are, the perp position in units."""

    account: str
    spot: Decimal
    index: Decimal
    positions: int
    position: Decimal
    lot: Decimal
    min_trade: Decimal
    paused: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "account": self.account,
            "spot_usd": f"{self.spot:f}",
            "index_usd": f"{self.index:f}",
            "option_positions": self.positions,
            "perp_position": f"{self.position:f}",
            "lot": f"{self.lot:f}",
            "paused": self.paused,
        }


def try_out(config: Config, chain: Chain) -> Seen:
    """Reads the only book's source and venue. What the adapters refuse is refused here; nothing is signed."""
    (book,) = config.books
    account = make_signer(config, signs=False).address
    source = make_source(book.sources[0], config.chains, book.venue.chain)
    venue, _ = make_venue(config, book, account)
    settings = config.chains[book.venue.chain]
    access = make_access(chain.client, settings)
    parts: list[Part | UptimeFeed] = [source, venue]
    if access.sequencer is not None:
        parts.append(access.sequencer)
    addresses = {
        f"{part.name}.{name}": address for part in parts for name, address in part.contracts().items()
    }
    require_code(chain, addresses, {})
    readers = [part.read() for part in parts]
    vault, perp, *_ = drive(chain.client, access.multicall, chain.head, readers, settings.call_gas)
    if not isinstance(vault, SourceState) or not isinstance(perp, VenueState):
        raise TypeError("a source and a venue were read as something else")
    spot = spot_of((vault,), ())
    if abs(spot - perp.index) > FAR * perp.index:
        raise ConfigError(
            f"the option vault's spot is {spot:,.2f} USD, the venue's index {perp.index:,.2f}: they are not of "
            "one underlying"
        )
    return Seen(
        account=account,
        spot=spot,
        index=perp.index,
        positions=len(vault.positions),
        position=perp.position.size,
        lot=perp.lot,
        min_trade=book.policy.min_trade,
        paused=vault.paused or perp.paused,
    )
