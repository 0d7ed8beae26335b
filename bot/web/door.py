"""Where the dashboard listens and the names that it answers to. It needs none of the packages that serve."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

SHORTEST_TOKEN = 20


@dataclass(frozen=True, slots=True)
class Door:
    """Where the dashboard listens, the names that it answers to beside its own, and the token in the clear."""

    host: str
    token: str
    names: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer reaches it: then reading takes no token."""
        return is_loopback(self.host)

    def answers_to(self, host: str) -> bool:
        """Whether a Host header names us. Any other name could be one that was rebound to our address."""
        name = host_name(host)
        if name in {"localhost", self.host.lower(), *(known.lower() for known in self.names)}:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.is_loopback


def is_loopback(host: str) -> bool:
    """Whether an address or name is this computer's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(host: str) -> str:
    """A Host header's name in lower case, without its port; "" where it makes no sense."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
