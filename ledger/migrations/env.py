"""What Alembic runs: the pending revisions on the connection (and inside the transaction) of ``ledger.database``."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
