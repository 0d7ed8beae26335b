"""The dashboard: a process of its own that reads the ledger and can't sign.

It imports neither `bot.app` nor a signer, and its configuration is loaded without secrets.
"""
