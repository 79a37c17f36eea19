"""`python -m compiler.cli` is `slmc`."""

from compiler.cli.main import main

main()
