"""Flows: the only room that knows Prefect, the environment, the clock and the ledger; it joins the stages.

``flows.build_vertical``, ``flows.curate``, ``flows.benchmark`` and ``flows.refresh`` are what Prefect launches,
``flows.cli`` is the command line. ``flows.corpus_chain`` and ``flows.chain`` say which stage follows which,
``flows.step`` is the choke point that each of them passes.
"""
