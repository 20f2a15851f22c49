"""The order in which Samples are looked at first: by chance, and yet the same at every run."""

from hashlib import sha256


def sample_rank(id: str, seed: int = 0) -> int:
    """A Sample's place in an order that is random and the same at every run: the first 8 bytes of sha256 of seed and id."""
    return int.from_bytes(sha256(f"{seed}\0{id}".encode("utf-8", "replace")).digest()[:8])
