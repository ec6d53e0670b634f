"""How planned runs get done, on this machine or on several that share a folder."""
