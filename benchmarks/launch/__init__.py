"""How planned runs get done: one after another on this machine, or many at once on a cluster."""
