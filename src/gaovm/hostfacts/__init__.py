"""What this host offers: accelerators (really probed), programs, limits, listeners, ids. Read only.

``facts.collect`` gives it to the builder as data, fast; ``doctor.checks`` says what is missing and
the command that fixes it. The one file written is a cache, ``$GAOVM_HOME/accelerator.json``.

May import: ``errors``, ``spec``, ``builder`` (the form of the facts). Must not: change the host,
start anything that outlives the call, or import a manager, the driver or the daemon.
"""
