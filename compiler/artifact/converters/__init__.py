"""Vendors' converters, each in a virtual environment of its own: what they depend on conflicts, with each other and us.

Reads: the pinned requirements in `catalogue/converters/`, the store.
Gives: an environment that `slmc converters install` makes, and what a script of `scripts/` says when it runs in one.
Never: installs anything during a compile.
"""
