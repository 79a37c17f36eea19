"""From an address to what can be talked to."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.publish.destination import Folder, Place
from compiler.publish.patience import Patience
from compiler.publish.remote import Remote
from compiler.publish.tree import Tree


def connect(place: Place, access: str, environment: Mapping[str, str], patience: Patience) -> Remote:
    """`access`: `pull` or `pull,push`. Nothing is sent yet. Raises Failed for credentials that cannot be read."""
    if isinstance(place, Folder):
        return Tree(place.path)
    # urllib3 takes a while to load, and folders do without it
    from compiler.publish import credentials
    from compiler.publish.authority import Authority
    from compiler.publish.registry import Registry
    from compiler.publish.transport import Transport

    authority = Authority(
        credentials.find(place, environment), f"repository:{place.name}:{access}", encrypted=not place.plain
    )
    return Registry(place, Transport(place.base, authority), patience)
