"""What the daemon knows of each VM.

``fleet`` has every ``machine`` (record, state, operation); ``driver_protocol`` is what a machine
needs from its driver, ``reports`` what the driver reports, ``driver_watch`` its end. The others are
one noun each: the project's directory and file, its approval, ports, display, status for clients.
"""
