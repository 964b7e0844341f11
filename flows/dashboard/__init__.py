"""``stillroom dashboard``: the ledger and the store as pages, served on loopback or exported as files. Read-only.

A page is a function from a ``Source`` and a ``Query`` to a ``Page``; ``render`` makes it HTML, ``serve`` answers
requests with it, ``export`` writes it to disk. What is counted is counted in ``ledger`` and ``evaluation``.
"""
