"""Shards as Zarr stores them: chunks, each compressed and with a checksum, one after another, and behind them an index.

Zarr would write the same (sharding_indexed, its index at the end); it copies each number several times, and waits for
threads of its own, which took a tenth of a run.
"""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from zarr.codecs import BloscCodec, Crc32cCodec

LEVEL = 1  # of compression: more takes time, and floating-point numbers hardly less room
ABSENT = 2**64 - 1  # what the index says of a chunk that there is none of


def codecs(compression: str) -> list[Any]:
    """Bits of a kind side by side, which compresses floating-point numbers; and a checksum for who reads a chunk."""
    kind: Any = compression
    packed = [] if kind == "none" else [BloscCodec(cname=kind, clevel=LEVEL, shuffle="bitshuffle")]
    return [*packed, Crc32cCodec()]


def missing(dtype: npt.DTypeLike) -> Any:
    """What stands for rows that are not computed yet."""
    kind = np.dtype(dtype).kind
    return complex(np.nan, np.nan) if kind == "c" else np.nan if kind == "f" else -1 if kind == "i" else False


def _sealed(content: bytes) -> list[bytes]:
    """Content, and its checksum behind it."""
    return [content, google_crc32c.value(content).to_bytes(4, "little")]


def encoded(data: npt.NDArray[Any], shard_rows: int, chunk_rows: int, compression: str) -> list[bytes]:
    """What a shard's file holds, in pieces, of its first rows; of chunks beyond them there is none.

    Parameters
    ----------
    data : ndarray, shape (rows, ...)
        C-contiguous, of the machine's byte order, which is little-endian.
    shard_rows, chunk_rows : int
    compression : str
        "none", or a name that Blosc knows.
    """
    pieces: list[bytes] = []
    index = np.full((shard_rows // chunk_rows, 2), ABSENT, "<u8")
    filled = 0
    for number, first in enumerate(range(0, len(data), chunk_rows)):
        chunk = data[first : first + chunk_rows]
        if len(chunk) < chunk_rows:
            rest = np.full((chunk_rows - len(chunk), *data.shape[1:]), missing(data.dtype), data.dtype)
            chunk = np.concatenate([chunk, rest])
        if compression == "none":
            content = chunk.tobytes()
        else:
            content = blosc.compress(chunk, compression.encode(), LEVEL, blosc.BITSHUFFLE)
        sealed = _sealed(content)
        index[number] = filled, len(content) + len(sealed[1])
        filled += len(content) + len(sealed[1])
        pieces += sealed
    return pieces + _sealed(index.tobytes())
