"""What clients may call, one file per noun: process, vms, sessions, ports, images.

Each method takes the service's context, the call and its decoded parameters, and returns JSON data.
``service`` holds the table that names them.

May import: the daemon's other modules but ``service``, ``server`` and ``main``.
Must not: touch sockets or decode bytes.
"""
