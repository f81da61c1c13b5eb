"""What crosses a socket, as types: parameters, results, notifications and events. Pure data.

One table (``methods``) lists every method of both protocols. The daemon's dispatch, the driver's
service, the async client, the upgrade's gate and the reference pages are all made from it.
"""
