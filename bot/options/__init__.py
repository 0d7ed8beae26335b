"""Option protocols, one file each."""
