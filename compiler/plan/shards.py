"""Parts of a plan for builds side by side: which part an action belongs to depends on its key alone."""

from __future__ import annotations

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
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and number.isascii() and count.isascii()):
            raise ValueError(f"`{text}` is not I/N, such as 1/4.")
        shard = cls(int(number), int(count))
        if not 1 <= shard.number <= shard.count:
            raise ValueError(f"`{text}`: parts are counted from 1 to {shard.count}.")
        return shard

    def of(self, plan: Plan) -> Plan:
        """The actions whose key, taken as a number, leaves `number - 1` when divided by `count`."""
        kept = (action for action in plan.actions if int(action.key[-64:], 16) % self.count == self.number - 1)
        return replace(plan, actions=tuple(kept))
