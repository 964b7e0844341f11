"""Evaluation: one local engine asks every model of a chain, scores its answers, and compares two of them, paired.

Doors (each a stage of its own process): ``evaluation.answer``, ``evaluation.evaluate``, ``evaluation.compare``. An
``Endpoint`` is evaluated by ``evaluation.evaluate.evaluate_with`` and ``evaluation.endpoint_engine.EndpointEngine``.
"""
