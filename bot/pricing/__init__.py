"""Pure numeric pricing on numpy arrays."""
