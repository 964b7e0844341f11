"""The teacher's side of distillation: its answers verified, its probabilities captured once, the students' starts.

``distillation.select``, ``distillation.ask``, ``distillation.capture`` and ``distillation.prune`` are stages and run in
processes of their own; the students' loss is a training method and lives in ``training``.
"""
