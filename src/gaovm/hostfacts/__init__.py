"""What this host offers: accelerators (really probed), programs, limits, listeners, ids. Read only.

``facts.collect`` gives the builder these facts as data, fast. ``doctor.checks`` says what is
missing and names the command that fixes it. The package writes one file, a cache:
``$GAOVM_HOME/accelerator.json``.

May import: ``errors``, ``spec``, ``builder`` (the form of the facts). Must not: change the host,
start anything that outlives the call, or import a manager, the driver or the daemon.
"""
