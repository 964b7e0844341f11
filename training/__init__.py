"""Training: the only room with torch at its heart.

Each stage is a module of its own, run as ``python -m training.NAME SPEC.json``. Its door is a function
``(section, inputs, out_dir) -> (Artifact, Usage)``:

===========  =================================  ==============================  ============
door         section                            inputs                          makes
===========  =================================  ==============================  ============
base.base    ``stage_sections.BaseSection``     none                            ``model``
tokenise     ``schema.Tokenise``                ``model``, ``corpus``           ``tokens``
cpt.cpt      ``schema.Cpt``                     ``model``, ``tokens``           ``model``
sft.sft      ``schema.Sft``                     ``model``, ``tokens``           ``adapter``
merge.merge  ``schema.Merge``                   ``model``, ``adapter``,         ``model``
                                                ``corpus``
residual     ``schema.Residual``                ``model``, ``base``,            ``model``
                                                ``instruct``
dpo          ``schema.Dpo``                     ``model``, ``corpus``,          ``adapter``
                                                ``answers`` (or none)
student      ``stage_sections.StudentSection``  ``teacher``, ``capture`` (or    ``model``
                                                ``distilled``), ``start``
                                                (a sibling)
===========  =================================  ==============================  ============

``sft`` with ``method: full`` makes a ``model``. Shared by all of them: ``device`` (precision, memory, usage),
``loading`` (models, adapters, tokenizers), ``engine`` (plan, training arguments, run with resume), ``checkpoints``,
``compact_loss``. The flow asks ``choose_loss`` (light: no torch) for a student's loss; ``tokenizers`` decides whether
ids are shared.

This module imports nothing, so that validating and planning stay fast.
"""
