"""Selection: which base model a vertical starts from, and why every other candidate fell.

Door: ``selection.select`` (a stage of its own process). ``selection.fit`` holds the arithmetic of memory and cost.
"""
