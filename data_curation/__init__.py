"""Data curation: documents to a corpus of text, examples and evaluation items; every reject with its reason.

Doors (each a stage of its own process): ``data_curation.write`` (the document writer), ``data_curation.curate``,
``data_curation.join`` and ``data_curation.inbox_card`` (an inbox's layers as one corpus, and their card).
"""
