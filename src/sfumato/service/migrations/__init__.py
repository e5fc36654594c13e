"""How databases of older versions become those of this one, by alembic; `sfumato.service.database` runs them."""
