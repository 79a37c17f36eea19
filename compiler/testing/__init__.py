"""`slmc test`: what the lock names, tried on this machine within the limits of each device class.

Reads: the blueprint, the lock, the store; slmc's own runtime.
Gives: whether each artifact loads and answers as it was measured, by class, as text, JSON and JUnit.
Never: builds or writes anything but the report that was asked for.
"""
