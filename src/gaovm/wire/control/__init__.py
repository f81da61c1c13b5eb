"""``gaovm.control.v1`` between clients and the daemon: parameters, results and notifications.

One module per noun holds the parameters and the results of its methods; ``table`` lists all
methods. The daemon refuses unknown parameters. A client ignores unknown fields of a result, so that
a newer daemon may add some.

May import: ``wire``, ``model``, ``spec`` and ``errors``. Must not: do I/O.
"""
