"""One file per command group; each command is declared once (``options.Command``)."""
