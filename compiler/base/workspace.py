"""What slmc calls its own things in a workspace."""

from __future__ import annotations

OUTPUT = "deploy"
"""The folder that bundles are written to."""
