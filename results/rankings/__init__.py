"""Records to statistics and ranked rows."""
