"""The queue, as it was before there were migrations: its tables are there."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing is to be done."""
