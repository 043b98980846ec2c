"""`python -m eventmill` is the command `eventmill`."""

from eventmill.cli.main import main

main()
