"""Every random number of a run is a function of (run seed, purpose, step); this is the one place that derives them."""

import hashlib

import jax


def derive(seed: int, purpose: str) -> int:
    """Returns a 31-bit seed for one purpose of a run: `initialisation`, `data`, `dropout`, ...

    The spelling of a purpose is part of the seed: to change it is to change all trained weights.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def key(seed: int, purpose: str) -> jax.Array:
    """Returns the JAX key of one purpose of a run."""
    return jax.random.key(derive(seed, purpose))
