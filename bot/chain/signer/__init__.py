"""Signers: a key in this process, or one that a remote service keeps. Each is checked before its bytes are used."""

from bot.chain.signer.local import LocalSigner, signer_from_key, signer_from_keystore

__all__ = ["LocalSigner", "signer_from_key", "signer_from_keystore"]
