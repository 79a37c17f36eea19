"""Parts of a plan for builds side by side: which part an action belongs to depends on its key alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from compiler.plan.actions import Plan


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number`, counted from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/3` → the second of three. Raises ValueError with the reason."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text)
        if found is None:
            raise ValueError(f"`{text}` is not I/N, such as 1/4.")
        shard = cls(int(found[1]), int(found[2]))
        if shard.number > shard.count:
            raise ValueError(f"`{text}`: the last part is {shard.count}/{shard.count}.")
        return shard

    def of(self, plan: Plan) -> Plan:
        """The actions whose key, taken as a number, leaves `number - 1` when divided by `count`."""
        kept = (action for action in plan.actions if int(action.key[-64:], 16) % self.count == self.number - 1)
        return replace(plan, actions=tuple(kept))
