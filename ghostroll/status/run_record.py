"""The record of one run: its share of the status, and what is needed to compare it with the world later."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from ghostroll.status.model import CardState, State, Status


class RunKind(StrEnum):
    """What a run is for."""

    WATCH = "watch"  # the steady loop, which lasts
    CARD = "card"
    RESUME = "resume"  # finish an earlier session
    RENEW = "renew"  # sign a link anew because somebody asked for it
    REFRESH = "refresh"  # the same by itself: the clock or the address has changed
    STARTUP = "startup"  # no run could begin
    CONFIGURATION = "configuration"  # the file on the boot partition was refused
    REBUILD = "rebuild"  # of the catalog


@dataclass(frozen=True)
class CardPlace:
    """Which medium was mounted where: device and inode number of the root directory, and the kernel's `diskseq`."""

    root: str
    device_number: int
    root_inode: int
    diskseq: str


@dataclass(frozen=True)
class RunRecord(Status):
    """What one run writes. Its `url` and `short_url` are those that this run itself has seen to work."""

    kind: RunKind = RunKind.CARD
    serial: int = 0  # the order in which runs began, whatever the clock said
    began_alone: bool = False  # no other run was at work
    has_ended: bool = False
    in_watch: bool = False  # a thread of `ghostroll watch`
    diskseq: str | None = None  # of a card that the appliance's units mounted
    place: CardPlace | None = None  # of any other card
    link_session_id: str | None = None  # whose link is shown, where that is not `session_id`


def as_status(record: Status) -> Status:
    """Return just the fields of `status.json`."""
    return Status(**{field.name: getattr(record, field.name) for field in dataclasses.fields(Status)})


def to_json(record: RunRecord) -> str:
    """Return the text of a record's file."""
    return json.dumps(dataclasses.asdict(record))


def from_json(text: str) -> RunRecord | None:
    """Read a record, by this or another version; None for one whose state or time makes no sense.

    A field of the wrong type counts as missing. An unknown card state counts as `reading`: the card is not called safe.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("card"), dict):
        return None
    if data.get("state") not in list(State) or not isinstance(data.get("updated_at"), str):
        return None
    if "state" in data["card"] and data["card"]["state"] not in list(CardState):
        data["card"]["state"] = CardState.READING
    return _built(RunRecord, data)


T = TypeVar("T")


def _built(kind: type[T], data: Mapping[str, Any]) -> T:
    fields = {name: _value(wanted, data[name]) for name, wanted in _types(kind).items() if name in data}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in fields.items() if value is not _WRONG})


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


_WRONG = object()


def _value(wanted: Any, value: Any) -> Any:
    """Return `value` as the type `wanted`, or _WRONG."""
    if isinstance(wanted, types.UnionType):
        values = (_value(one, value) for one in typing.get_args(wanted))
        return next((each for each in values if each is not _WRONG), _WRONG)
    if typing.get_origin(wanted) is tuple:
        return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else _WRONG
    if wanted is types.NoneType:
        return None if value is None else _WRONG
    if dataclasses.is_dataclass(wanted):
        return _built_or_wrong(typing.cast("type[Any]", wanted), value)
    if issubclass(wanted, StrEnum):
        return wanted(value) if value in list(wanted) else _WRONG
    if wanted is float and isinstance(value, int):
        value = float(value)
    is_bool_for_number = isinstance(value, bool) and wanted is not bool
    return value if isinstance(value, wanted) and not is_bool_for_number else _WRONG


def _built_or_wrong(wanted: type[Any], value: Any) -> Any:
    try:
        return _built(wanted, value) if isinstance(value, dict) else _WRONG
    except TypeError:  # a field without a default is missing
        return _WRONG
