"""Stage 4: Fleets + source digests + the last lock's facts → Plan.

Reads: values only.
Gives: one Action per artifact, with its Reason.
Never: touches the disk.
"""
