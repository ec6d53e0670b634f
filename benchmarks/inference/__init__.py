"""A trained model ready to answer: every example of a split once, and how fast."""
