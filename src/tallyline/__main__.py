"""`python -m tallyline` is `tallyline`."""

from tallyline.cli import main

main()
