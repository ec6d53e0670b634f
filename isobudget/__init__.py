"""What all packages share and none of them owns: how a command reads flags, tells mistakes and imports plug-ins."""
