"""Serving: start and stop the engine, check what it serves, measure it under load.

The stage is ``serving.benchmark`` (a model in, a ``serving`` artifact with a ServingCard out); ``serving.server`` is
the context manager that holds an engine, ``serving.golden`` the check of token ids, ``serving.load`` the load.
Nothing here imports the engine: it lives in an environment of its own and is spoken to as a process.
"""
