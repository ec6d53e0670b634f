"""Where a run's weights come from, and how they are kept."""
