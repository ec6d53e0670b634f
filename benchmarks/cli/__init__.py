"""How every command here reads flags, tells mistakes and shows progress."""
