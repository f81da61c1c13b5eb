"""The seed of an unmodified distribution image: a NoCloud disk that cloud-init reads.

``files`` says what is on it, ``iso9660`` writes it.
"""
