"""A trained model, ready to use: its predictions for every example of a split, and its speed."""
