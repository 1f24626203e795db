"""Reads the file of an offline W&B run: a log in LevelDB's format, whose records are protobuf messages."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7


@dataclass
class Logged:
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    runs: list[Any] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)

    def curve(self, key: str) -> list[tuple[int, Any]]:
        return [(row["batch"], row[key]) for row in self.history if key in row]


def read(folder: Path) -> Logged:
    """The content of the one `.wandb` file in `folder`."""
    wandb.teardown()  # flushes the file, as at the end of the process
    (path,) = folder.glob("*.wandb")
    logged = Logged()
    for record in _records(path.read_bytes()):
        if record.HasField("run"):
            logged.runs.append(record.run)
            logged.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("history"):
            logged.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        if record.HasField("summary"):
            logged.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        if record.HasField("artifact"):
            logged.artifacts.append(record.artifact.name)
    return logged


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _records(content: bytes) -> Iterator[Record]:
    place, parts = HEADER, b""  # the file begins with a header of the same length
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record
