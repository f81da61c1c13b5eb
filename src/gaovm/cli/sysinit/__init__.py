"""``sysinit-vm``: the VM of a project in ten words, over GaoVM's commands.

``main`` finds the verb and turns errors into its words; ``say`` prints them. ``making`` is
``init``, ``running`` has the other verbs, and ``lines`` the shell lines that run in the guest.
"""
