"""Selection: which base model a vertical starts from, and why every other candidate fell.

Door: ``selection.select`` (a stage of its own process). ``selection.checks`` holds the verdicts that need no weights
(light: the flow asks it before anything is spent), ``selection.fit`` the arithmetic of memory and cost.
"""
