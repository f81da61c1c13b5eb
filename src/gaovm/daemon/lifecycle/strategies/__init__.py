"""How a VM gets from rest to a guest whose agent answers: one module per way.

``protocol`` says what a way must do; ``cold_boot`` is the way of every start today. A restore from
a saved state and a clone of a warm template each get a module here, and ``start.Starter.choose``
picks among them.
"""
