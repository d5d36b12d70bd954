"""One task's delta and head as a file.

Layout: the magic, the length of the header (8 bytes, little endian), the header (JSON), the bytes
of the tensors one after the other. The header has ``version``, ``base`` (hash of the base network),
``task``, ``encoder`` (delta and first layer), ``checksum`` of header and bytes, and ``tensors``:
name, shape, dtype and encoding of each, which is the smallest of

- ``bitmap``: ceil(n / 8) bytes that say which weights are in the support, and their values;
- ``index``: the positions of these as 32-bit integers, and their values;
- ``dense``: all values (factors of a low rank, heads, buffers, dense deltas).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmtas.files import write_bytes

MAGIC = b'BMTASDLT'
VERSION = 1


def base_hash(state: Mapping[str, Tensor], prefix: str = 'encoder.') -> str:
    """Hash of a base network: names, shapes and bytes of stem and layers in a state dict."""
    digest = hashlib.sha256()
    for name in sorted(k for k in state if k.startswith((f'{prefix}stem.', f'{prefix}layers.'))):
        value = state[name].detach().cpu().contiguous()
        digest.update(f'{name.removeprefix(prefix)} {tuple(value.shape)} {value.dtype}'.encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def sizes(entries: int, kept: int, width: int = 4) -> dict[str, int]:
    """Bytes of a tensor of ``entries`` weights with ``kept`` in its support, by encoding."""
    found = dict(bitmap=-(-entries // 8) + width * kept, index=(4 + width) * kept)
    return found | (dict(dense=width * entries) if kept == entries else {})


def write_delta(
    path: str | Path,
    state: Mapping[str, Tensor],
    task: str,
    base: str,
    encoder: Mapping[str, Any],
    half: bool = False,
) -> int:
    """Write the delta of one task.

    Args:
        path: The file.
        state: State dict of a network, with ``encoder.deltas.<task>.`` and ``heads.<task>.``.
        task: The task.
        base: Hash of the base network.
        encoder: What the checkpoint says about the encoder.
        half: Store values in float16 instead of exactly, but for tensors with numbers beyond its
            range.

    Returns:
        Bytes of the file.
    """
    entries, payload = [], []
    for name, value, support in _tensors(state, task):
        if half and value.is_floating_point() and value.half().isfinite().all():
            value = value.half()
        encoding, chunks = _encode(value, support)
        payload += chunks
        entries.append(
            dict(name=name, shape=list(value.shape), dtype=str(value.dtype)[6:], encoding=encoding)
            | dict(kept=int(value.numel() if support is None else support.sum()))
            | dict(masked=support is not None)
        )
    body = b''.join(payload)
    header = dict(version=VERSION, base=base, task=task, encoder=dict(encoder), tensors=entries)
    text = json.dumps({**header, 'checksum': _checksum(header, body)}).encode()
    content = b''.join((MAGIC, len(text).to_bytes(8, 'little'), text, body))
    write_bytes(path, content)
    return len(content)


def _checksum(header: Mapping[str, Any], body: bytes | memoryview) -> str:
    """Of the header, whose own entry ``checksum`` does not count, and of the tensors' bytes."""
    plain = {key: value for key, value in header.items() if key != 'checksum'}
    return hashlib.sha256(json.dumps(plain).encode() + bytes(body)).hexdigest()


def _tensors(state: Mapping[str, Tensor], task: str) -> Iterator[tuple[str, Tensor, Tensor | None]]:
    """Name, value and support (None where all is kept) of all that a task owns."""
    for name, value in state.items():
        own = name.startswith((f'encoder.deltas.{task}.', f'heads.{task}.'))
        if own and not name.endswith('.support'):
            stem, _, leaf = name.rpartition('.')
            support = state.get(f'{stem}.support') if leaf == 'delta' else None
            yield name, value.detach().cpu(), support if support is None else support.cpu()


def _encode(value: Tensor, support: Tensor | None) -> tuple[str, list[bytes]]:
    flat = value.contiguous().view(-1)
    if support is None:
        return 'dense', [flat.numpy().tobytes()]
    mask = support.contiguous().view(-1)
    cost = sizes(flat.numel(), int(mask.sum()), flat.element_size())
    encoding = min(cost, key=cost.__getitem__)
    if encoding == 'dense':
        return encoding, [flat.numpy().tobytes()]
    kept = flat[mask].numpy().tobytes()
    if encoding == 'bitmap':
        return encoding, [np.packbits(mask.numpy()).tobytes(), kept]
    return encoding, [mask.nonzero()[:, 0].to(torch.int32).numpy().tobytes(), kept]


def read_delta(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and state dict of a delta file; values in the precision of the file, as float32.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another file, a newer version, truncated or edited.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'delta file {path} does not exist')
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError(f'delta file {path}: not written by bmtas share')
    start = len(MAGIC) + 8
    length = int.from_bytes(content[len(MAGIC) : start], 'little')
    try:
        header = json.loads(content[start : start + length])
        version = header['version']
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f'delta file {path}: its header is damaged; remove it and run bmtas share again'
        ) from None
    if version != VERSION:
        raise ValueError(
            f'delta file {path}: version {version} is newer than this program knows ({VERSION}); '
            'update bmtas'
        )
    body = memoryview(content)[start + length :]
    if _checksum(header, body) != header.get('checksum'):
        raise ValueError(
            f'delta file {path}: truncated or edited, its checksum differs; remove it and run '
            'bmtas share again'
        )
    return header, dict(_decode_all(header['tensors'], body))


def _decode_all(entries: list[Mapping[str, Any]], body: memoryview) -> Iterator[tuple[str, Tensor]]:
    position = 0
    for entry in entries:
        dtype, shape = np.dtype(entry['dtype']), tuple(entry['shape'])
        count, kept = int(np.prod(shape, dtype=np.int64)), entry['kept']
        mask = None
        if entry['encoding'] == 'bitmap':
            width = -(-count // 8)
            bits = np.frombuffer(body[position : position + width], np.uint8)
            mask, position = np.unpackbits(bits, count=count).astype(bool), position + width
        elif entry['encoding'] == 'index':
            index = np.frombuffer(body[position : position + 4 * kept], np.int32)
            mask, position = np.zeros(count, bool), position + 4 * kept
            mask[index] = True
        width = dtype.itemsize * kept
        values = np.frombuffer(body[position : position + width], dtype)
        position += width
        full = values.copy() if mask is None else np.zeros(count, dtype)
        if mask is not None:
            full[mask] = values
        tensor = torch.from_numpy(full).view(shape)
        yield entry['name'], tensor.float() if tensor.is_floating_point() else tensor
        if entry['masked']:
            mask = np.ones(count, bool) if mask is None else mask
            name = entry['name'].removesuffix('.delta') + '.support'
            yield name, torch.from_numpy(mask).view(shape)


def check_delta(path: str | Path, header: Mapping[str, Any], base: str, tasks: list[str]) -> None:
    """Refuse a delta of another base network or of a task that the table lacks.

    Raises:
        ValueError: The message names both hashes, or the task.
    """
    if header['base'] != base:
        raise ValueError(
            f'delta file {path}: made for base {header["base"]}, this base is {base}; take the '
            "base network that it was trained with, or train the task's delta anew"
        )
    if header['task'] not in tasks:
        raise ValueError(
            f'delta file {path}: of task {header["task"]!r}, the task table has {tasks}'
        )
