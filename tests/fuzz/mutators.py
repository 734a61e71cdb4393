"""Damage to a file's bytes: of any file, and of the structure of text, JSON and NumPy headers."""

from __future__ import annotations

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Numbers that break assumptions: empty, negative, beyond each integer type, no number at all.
NUMBERS = (
    "0",
    "-1",
    "1",
    "1e308",
    "-1e308",
    "nan",
    "inf",
    "2147483648",
    "-9223372036854775809",
    "99999999999999999999",
    "1e-320",
    "9" * 400,  # an integer that is no float
    "9" * 5000,  # one that Python does not parse
    "",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    {"x": 1},
    float("nan"),
    "\x1b[31m",
    "é\u202e\x00",
    10**400,
    "x" * 5000,
)


LARGEST = 2**20  # bytes of an input: repetitions of repetitions would fill the memory of the harness itself
_PART = 2**15  # bytes in which numbers and words are looked for


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_early_bytes(data: bytes, rng: random.Random) -> bytes:
    """Headers stand at the beginning, and at the end in archives."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        reach = min(len(changed), rng.choice((16, 64, 256)))
        if reach:
            place = rng.randrange(reach)
            changed[place if rng.random() < 0.7 else -1 - place] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def remove(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 4, 64, 1024)) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice((1, 8, 128, 1024))]
    return data[:start] + part * rng.choice((2, 10, 100)) + data[start:]


def insert(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.choice((1, 4, 64))) + data[start:]


def change_numbers(data: bytes, rng: random.Random) -> bytes:
    """Numbers in a text become others."""
    start = rng.randrange(max(1, len(data) - _PART))
    found = list(re.compile(rb"-?\d+(\.\d+)?").finditer(data, start, start + _PART))
    for match in sorted(rng.sample(found, min(len(found), rng.choice((1, 1, 3)))), key=lambda m: -m.start()):
        data = data[: match.start()] + rng.choice(NUMBERS).encode() + data[match.end() :]
    return data


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines are lost, doubled or change places."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 2, 5))):
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                lines[one] = b""
            case 1:
                lines.insert(one, lines[other])
            case 2:
                lines[one], lines[other] = lines[other], lines[one]
            case _:
                lines[one] = (lines[one] * rng.choice((2, 50)))[:LARGEST]
    return b"\n".join(lines)


def change_words(data: bytes, rng: random.Random) -> bytes:
    """Words are exchanged, renamed or blown up."""
    start = rng.randrange(max(1, len(data) - _PART))
    words = list(re.compile(rb"[A-Za-z_]+").finditer(data, start, start + _PART))
    if not words:
        return data
    word, other = rng.choice(words), rng.choice(words)
    new = rng.choice((other.group(), b"", b"_" * 1000, "ü\u202e".encode(), b"\x1b[2J", word.group() * 100))
    return data[: word.start()] + new + data[word.end() :]


def change_json(data: bytes, rng: random.Random) -> bytes:
    """A value anywhere in the document becomes another, or is lost, or nested deeply."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return flip_bytes(data, rng)
    holder: Any = {"": document}
    key: Any = ""
    while isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match rng.randrange(5):
        case 0 if isinstance(holder, dict) and key != "":
            del holder[key]
        case 1:
            for _ in range(rng.choice((1, 30, 700, 2000))):
                holder[key] = [holder[key]]
        case 2 if isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((0, 2, 50))
        case 3 if isinstance(holder, dict) and key != "":
            holder[rng.choice(("", "id", "x", "keypoints"))] = holder.pop(key)
        case _:
            holder[key] = rng.choice(VALUES)
    document = holder[""] if "" in holder and len(holder) == 1 and isinstance(holder, dict) else document
    try:
        return json.dumps(document).encode()
    except (RecursionError, ValueError):
        return b"[" * 5000 + b"]" * 5000


def change_npy_header(data: bytes, rng: random.Random) -> bytes:
    """Shape, type or order in the header of an array, alone or in an archive."""
    found = list(re.finditer(rb"'shape': \(([^)]*)\)|'descr': '([^']*)'|'fortran_order': (\w+)", data))
    if not found:
        return flip_early_bytes(data, rng)
    match = rng.choice(found)
    group = next(i for i in (1, 2, 3) if match.group(i) is not None)
    start, end = match.span(group)
    if group == 1:
        size = rng.choice(
            (b"-1", b"0", b"99999999999", b"2, 3", b"True", b"1e3", b"((((1))))", b"9223372036854775807, 9")
        )
    elif group == 2:
        size = rng.choice((b"|O", b"<U4", b"<f8", b"|b1", b"<c8", b"<M8", b"|V3", b">i2"))
    else:
        size = rng.choice((b"True", b"None", b"[[[]]]"))
    new = size[: end - start].ljust(
        end - start
    )  # the length of the header stays, so that the data after it are still found
    return data[:start] + new + data[end:]


ANY: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bytes,
    flip_early_bytes,
    truncate,
    remove,
    repeat,
    insert,
)
TEXT = (change_numbers, change_lines, change_words)


def change_archive(data: bytes, rng: random.Random) -> bytes:
    """Members of a zip archive are lost, doubled, renamed, exchanged, or become the archive itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # the archive is damaged already
        return flip_early_bytes(data, rng)
    if not members:
        return flip_early_bytes(data, rng)
    one, other = rng.randrange(len(members)), rng.randrange(len(members))
    (name, content), (other_name, other_content) = members[one], members[other]
    match rng.randrange(5):
        case 0:
            del members[one]
        case 1:
            members.append((name, other_content))
        case 2:
            new = rng.choice(("../" + name, "/" + name, "", "a\0b.npy", "\x1b[2J.npy", "ü" * 300, name.upper()))
            members[one] = (new, content)
        case 3:
            members[one], members[other] = (name, other_content), (other_name, content)
        case _:
            members[one] = (name, data)
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", rng.choice((0, zipfile.ZIP_DEFLATED))) as archive:
        warnings.simplefilter("ignore")  # about names that stand twice
        for name, content in members:
            archive.writestr(name or "x", content)
    return made.getvalue()


def mutators(name: str) -> tuple[Callable[[bytes, random.Random], bytes], ...]:
    """What may damage a file of this name."""
    suffix = name.rsplit(".", 1)[-1]
    if suffix == "json":
        return (*ANY, *TEXT, change_json, change_json, change_json)
    if suffix in ("npz", "tar", "pt"):
        return (*ANY, change_npy_header, change_npy_header, change_archive, change_archive)
    if suffix == "npy":
        return (*ANY, change_npy_header, change_npy_header)
    if suffix in ("csv", "tsv", "trc", "txt", "bvh", "skeleton", "amc", "asf", "jsonl", "mvnx"):
        return (*ANY, *TEXT, *TEXT)
    return ANY


def damage(contents: Mapping[Path, bytes], name: str, number: int) -> Path:
    """Damages one of some files; the same case comes of the same name and number."""
    rng = random.Random(f"{name} {number}")
    path = rng.choice(list(contents))
    data = contents[path]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(mutators(path.name))(data, rng)[:LARGEST]
    path.write_bytes(data)
    return path
