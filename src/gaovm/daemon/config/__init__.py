"""Changes of a VM's config: their effect, whether now or at the next start, and copies on disk.

``changes`` is the way in. ``planning`` works out what a change means, ``live`` makes it in a
running VM, and ``copies`` are the files beside the disk.

May import: ``vms``, ``storage``. Must not: start or stop a VM.
"""
