"""How every command reads its flags, reports mistakes and shows progress."""
