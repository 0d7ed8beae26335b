"""Multicall3 at the address that it has on every chain, put there by its authors' presigned transaction."""

from importlib.resources import files
from typing import Final

from bot.errors import VaultkeelError
from bot.localnet.node import Node

MULTICALL3: Final = "0xcA11bde05977b3631167028862bE2a173976CA11"
_DEPLOYER: Final = "0x05f32b3cc3888453ff71b01135b34ff8e41263f2"
# The transaction was signed for a million gas at 100 gwei.
_DEPLOYER_FUNDS_WEI: Final = 10**17


def deploy_multicall(node: Node) -> str:
    """Deploys Multicall3 and returns its address."""
    node.set_balance(_DEPLOYER, _DEPLOYER_FUNDS_WEI)
    node.send_raw(files("bot.localnet").joinpath("multicall3.hex").read_text(encoding="ascii").strip())
    if not node.code_size(MULTICALL3):
        raise VaultkeelError(f"Multicall3 is not at {MULTICALL3} after its deployment")
    return MULTICALL3
