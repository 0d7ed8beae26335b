"""`python -m bot` is `vaultkeel`."""

from bot.cli import main

main()
