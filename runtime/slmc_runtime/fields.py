"""Values of a JSON file, each asked for with the type and bounds that it has to have."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slmc_runtime.refused import ABSENT, CONFIG, Refused

_LONGEST = 10**6
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object, and where it stands: `serve.json: runs.counter`. Every method raises Refused.

    Keys that nobody asks for are passed over: a later compiler may write them.
    """

    place: str
    values: Mapping[str, Any]

    def object(self, key: str) -> Fields:
        found = self._of(key, dict, "an object")
        return Fields(self._at(key), found)

    def text(self, key: str, among: Collection[str] = ()) -> str:
        found: str = self._of(key, str, "text")
        if not found or (among and found not in among):
            raise self._wrong(key, f"one of {', '.join(sorted(among))}" if among else "text")
        return found

    def whole(self, key: str, least: int, most: int = 2**63) -> int:
        found = self.values.get(key)
        if type(found) is not int or not least <= found <= most:
            raise self._wrong(key, f"a whole number from {least} to {most}" if most < 2**63 else "a whole number")
        return found

    def seconds(self, key: str) -> float:
        found: Any = self.values.get(key)
        if type(found) not in (int, float) or not 0 < found <= _LONGEST:
            raise self._wrong(key, f"a number of seconds, above 0 and up to {_LONGEST}")
        return float(found)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._of(key, list, "a list of texts")
        if not all(isinstance(entry, str) for entry in found):
            raise self._wrong(key, "a list of texts")
        return tuple(found)

    def objects(self, key: str) -> Iterator[Fields]:
        found = self._of(key, list, "a list of objects")
        for number, entry in enumerate(found):
            if not isinstance(entry, dict):
                raise self._wrong(key, "a list of objects")
            yield Fields(f"{self._at(key)}[{number}]", entry)

    def _of(self, key: str, kind: type, wanted: str) -> Any:
        found = self.values.get(key)
        if not isinstance(found, kind):
            raise self._wrong(key, wanted)
        return found

    def _at(self, key: str) -> str:
        return f"{self.place}{'.' if ': ' in self.place else ': '}{key}"

    def _wrong(self, key: str, wanted: str) -> Refused:
        said = "is missing" if key not in self.values else "is something else"
        return Refused(CONFIG, f"{self._at(key)} {said}: it has to be {wanted}")


def read(path: Path) -> Fields:
    """The object in a file. Raises Refused."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Refused(ABSENT, f"there is no file {path}") from None
    except OSError as error:
        raise Refused(ABSENT, f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Refused(CONFIG, f"{path} is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(CONFIG, f"{path} is not a JSON object")
    return Fields(path.name, found)
