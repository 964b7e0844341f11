"""One module a revision, written by hand and never changed once released."""
