"""Where a set-up starts: the few addresses from which the others are read, and who named each."""

from dataclasses import dataclass, field

from bot.config.chains import ChainConfig
from bot.config.deployment import Deployment
from bot.errors import ConfigError
from bot.setup.presets import TEMPLATES, Preset, named_preset, preset_of, presets
from bot.setup.wanted import PLACES, Wanted

MULTICALL: str = ChainConfig.model_fields["multicall"].default
CURIE_ROOTS = ("clearing_house", "base_token", "quoter")
STARTS = {("vault", "viewer"), *(("venue", name) for name in CURIE_ROOTS)}
GIVEN, DEPLOYMENT = "given", "deployment"
VAULT_ROOTS = ("viewer", "market")


@dataclass(frozen=True, slots=True)
class Roots:
    """Addresses by field. `preset` is what the file is written from; `own` says that it is this chain's.

    `source` says by TABLE.FIELD where an address comes from, in words.
    """

    chain: str
    chain_id: int
    preset: Preset
    own: bool
    kind: str
    multicall: str
    vault: dict[str, str]
    venue: dict[str, str]
    account: str | None = None
    source: dict[str, str] = field(default_factory=dict)


def roots_of(wanted: Wanted, chain_id: int, deployment: Deployment | None) -> Roots:
    """From the preset, the deployment over it, and --at over both. ConfigError where neither knows the chain."""
    own = named_preset(wanted.preset, chain_id) if wanted.preset else preset_of(chain_id)
    preset = preset_for(wanted, chain_id, own, deployment)
    kind = preset.kind
    is_own = preset is own
    source: dict[str, str] = {}
    vault = layered(source, "vault", f"preset {preset.name}", preset.vault if is_own else {})
    venue = layered(source, "venue", f"preset {preset.name}", preset.venue if is_own else {})
    chain = {"multicall": MULTICALL}
    if deployment is not None:
        told = deployment.model_dump(exclude_none=True)
        vault |= layered(source, "vault", DEPLOYMENT, told["vault"])
        venue |= layered(source, "venue", DEPLOYMENT, told["venue"])
        chain |= layered(source, "chain", DEPLOYMENT, told)
    for (table, name), value in wanted.at.items():
        {"vault": vault, "venue": venue, "chain": chain}[table][name] = value
        source[f"{table}.{name}"] = GIVEN
    # What else a preset names is read on the chain.
    if kind == "curie":
        venue = {name: venue[name] for name in CURIE_ROOTS if name in venue}
    venue = {name: address for name, address in venue.items() if name in PLACES["venue"]}
    return Roots(
        chain=preset.name if deployment is None else deployment.chain,
        chain_id=chain_id,
        preset=preset,
        own=is_own,
        kind=kind,
        multicall=chain["multicall"],
        vault={name: vault[name] for name in vault if f"vault.{name}" in source and asked(name, source)},
        venue=venue,
        account=None if deployment is None else deployment.account,
        source=source,
    )


def preset_for(wanted: Wanted, chain_id: int, own: Preset | None, deployment: Deployment | None) -> Preset:
    """What the file is written from: the chain's `own` preset, or the example of the deployment's kind of venue."""
    if deployment is not None:
        fits = own is not None and own.kind == deployment.venue.kind
        return own if own is not None and fits else presets()[TEMPLATES[deployment.venue.kind]]
    if own is None:
        known = ", ".join(f"{one.name} ({one.chain_id})" for one in presets().values())
        raise ConfigError(
            f"the node is on chain {chain_id}, whose contracts init can't find: it knows {known}. Describe them in a "
            "file and give --deployment, or copy a file of config/ and fill it in: see docs/configuration.md"
        )
    if own.name == TEMPLATES["curie"] and not wanted.at.keys() >= STARTS:
        raise ConfigError(
            "where a local chain has its contracts is in the deployment.json that `vaultkeel localnet` wrote: run "
            "init in the folder that it was started in, or give --deployment; one of another run is passed over"
        )
    return own


def asked(name: str, source: dict[str, str]) -> bool:
    """Whether an address of the vault starts the set-up, and isn't one that a preset could only repeat."""
    return name in VAULT_ROOTS or source[f"vault.{name}"] in (GIVEN, DEPLOYMENT)


def layered(source: dict[str, str], table: str, whose: str, found: dict[str, str]) -> dict[str, str]:
    """The addresses of `found`, each noted as `whose`."""
    addresses = {name: value for name, value in found.items() if str(value).startswith("0x")}
    source.update({f"{table}.{name}": whose for name in addresses})
    return addresses
