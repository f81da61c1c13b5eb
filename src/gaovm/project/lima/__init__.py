"""What Lima itself does with a file of its format, before GaoVM makes a VM spec of it.

``whole`` joins a file with its bases (``embedding``, ``merging``, ``combining``) and with the
user's defaults (``layers``). ``values`` checks what Lima checks, in Lima's words. ``portrules``
decides like Lima which listener of a guest is forwarded.

May import: the other modules of ``project``. Must not: read files. What a config names comes from
an ``embedding.Resolver``, which the caller hands in.
"""
