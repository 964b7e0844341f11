"""The nouns that two rooms speak: documents, examples, answers, artifacts, usage, endpoints, reports, errors."""
