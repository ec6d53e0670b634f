"""What each model's steps need of accelerators that are not here, and how fast they can be there at most."""
