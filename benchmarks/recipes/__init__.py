"""Recipe steps of slmc beside the tools that do the same."""
