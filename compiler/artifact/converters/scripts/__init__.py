"""What runs in the environments of converters.

Each module is one converter with its tasks: `convert`, and one that runs the result in the vendor's runtime. They know
nothing of slmc but each other, since the environments do not have it: imports of siblings are relative.
"""
