"""The compiled part of a run: one training step and one evaluation step over plain dicts of arrays."""
