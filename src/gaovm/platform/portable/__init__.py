"""The same answers on any Unix: kqueue where there is one, else threads, ``ps`` and polling."""
