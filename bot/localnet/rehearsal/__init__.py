"""The rehearsal of faults: what may break is broken on a local chain, and no order may be lost or doubled."""

from bot.localnet.rehearsal.run import Plan, Summary, rehearse

__all__ = ["Plan", "Summary", "rehearse"]
