"""Two leaderboards, row by row."""
