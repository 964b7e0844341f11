"""The document writer's grammar: YAML tables, slots and phrasings to documents, deterministic from a seed."""
