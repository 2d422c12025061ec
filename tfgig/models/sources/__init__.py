"""Sources: what users have, each kind read by one module."""
