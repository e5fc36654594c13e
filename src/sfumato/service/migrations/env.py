"""Alembic's: runs the migrations over the connection that `sfumato.service.database` has open."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
