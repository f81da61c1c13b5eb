"""The ports between host and guest: those that are open, and those that follow the guest.

``forwards`` has all of them. ``binding`` and ``host_sockets`` make the host's ends, ``relay`` and
``datagrams`` carry the bytes, ``following`` opens and closes as the guest's servers come and go,
``reverse`` lets the guest reach single ports and sockets of the host.
"""
