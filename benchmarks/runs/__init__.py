"""A run before and after training: its plan, its folder and its record."""
