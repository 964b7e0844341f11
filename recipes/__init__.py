"""Recipes: schema, loading, fingerprints, and the catalogues of models and devices."""
