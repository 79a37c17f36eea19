"""Figures of artifacts beside those of what they are compared with, and the gates that judge them.

Reads: artifacts, originals, figures that the store keeps.
Gives: Quality, speed and memory; whether gates hold.
Never: makes an artifact.
"""
