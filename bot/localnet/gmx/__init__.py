"""A local stand-in for GMX v2 (gmx-synthetics, March 2026): the real interface over one simple ETH/USD market.

No package carries the real contracts, so these were written here, in Vyper, to speak their interface exactly: the
selectors, structs, DataStore keys, events and errors are the real ones, and an adapter for the real contracts works
on them unchanged. What happens behind the interface is simpler; each source says where. `bytecode.json` is what
`python -m bot.localnet.gmx.compiling` makes of the sources, so that nobody needs the compiler.
"""
