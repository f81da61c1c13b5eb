"""Lima's command line over GaoVM, so that its users' scripts and habits work.

``main`` finds the verb in ``verbs``; ``verb`` declares how its words are read, ``say`` prints as
Lima's log does. ``homes`` knows the directories of instances, ``instances`` what Lima's list shows
of a VM, ``configs`` and ``loading`` its whole config. ``reading`` reads templates, ``editflags``
the flags that change them, and ``querying`` runs yq. ``refused`` has the verbs that GaoVM does
without.
"""
