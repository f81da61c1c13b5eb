"""Brings files in: over HTTP, with resumption, or from a path; and unpacks compressed ones.

Everything here blocks; ``images.pulling`` runs it in a thread.
"""
