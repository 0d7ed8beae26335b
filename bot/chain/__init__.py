"""The chain: one pinned block, reads through Multicall3, a mandate, a signer and a sender."""
