"""Changes of a VM's config: what they would do, in force now or at the next start, copies on disk.

``staging`` is the way in; ``foresight`` works out what a change means, ``live`` makes it in a
running VM, ``mirrors`` are the files beside the disk.

May import: ``machine``, ``storage``. Must not: start or stop a VM.
"""
