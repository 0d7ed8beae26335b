"""A local stand-in for Derive (Lyra v2): the real interface over subaccounts whose balances anyone may set.

No package carries the real contracts, so these were written here, in Vyper, to speak their interface: the selectors,
structs, subIds and errors are the real ones, and the source for the real contracts works on them unchanged. What
happens behind the interface is simpler: values are set instead of signed, and a smile is a parabola. `bytecode.json` is
what `python -m bot.localnet.derive.compiling` makes of the sources.
"""
