"""What this machine is, and how a process must start on it."""
