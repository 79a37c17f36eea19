"""Steps that a vendor's own converter does, in an environment of its own (`compiler.artifact.converters`)."""
