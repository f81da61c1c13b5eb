"""How a VM starts, stops, and comes back.

``start`` is the work of an ``up``, ``strategies`` the ways to start, ``waiting`` the wait for a
guest; ``stop`` takes a VM down, ``shutdown`` all of them; ``supervisor`` restarts dead VMs, and
``recovery`` deals with what an earlier daemon left.
"""
