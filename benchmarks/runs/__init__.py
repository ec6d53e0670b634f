"""A run before and after training: what is settled about it, its folder, its record."""
