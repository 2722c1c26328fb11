"""SHA-256 by Python's own code: hashlib loads OpenSSL first, which takes `status` 2 ms."""

from __future__ import annotations

__all__ = ["sha256_of"]

MODULES = ("_sha2", "_sha256", "hashlib")
"""Where it is: since Python 3.12, before that, and where neither was built."""


def sha256_of(data: bytes) -> str:
    """Give the digest, in hexadecimal."""
    for name in MODULES:
        try:
            return str(__import__(name).sha256(data).hexdigest())
        except ImportError:
            continue
    raise ImportError("this Python has no SHA-256")
