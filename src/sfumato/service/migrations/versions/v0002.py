"""The gallery."""

import sqlalchemy as sa
from alembic import op

from sfumato.service.database import WORDS

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Pictures know whether the gallery has them; the gallery's tables; alembic's own for the version."""
    whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.drop_table("schema")
    op.add_column("pictures", sa.Column("collected", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_pictures_collected", "pictures", ["collected"])
    op.create_table(
        "gallery",
        sa.Column("number", whole, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("job", sa.String(16)),
        sa.Column("index", sa.Integer),
        sa.Column("file", sa.String(120), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, index=True),
        sa.Column("pixels", sa.String(64), nullable=False, index=True),
        sa.Column("tool", sa.String(40), nullable=False),
        sa.Column("exact", sa.Boolean, nullable=False),
        sa.Column("task", sa.String(40), nullable=False),
        sa.Column("request", sa.Text),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("negative", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("seed", sa.String(20)),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("rating", sa.Integer, nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("added", sa.Float(53), nullable=False),
        sa.Column("trashed", sa.Float(53)),
    )
    for name, columns in (
        ("trashed", ["trashed", "number"]),
        ("model", ["trashed", "model", "number"]),
        ("rating", ["trashed", "rating", "number"]),
        ("kinds", ["trashed", "tool", "task"]),
        ("seed", ["seed"]),
        ("created", ["created"]),
    ):
        op.create_index(f"ix_gallery_{name}", "gallery", columns)
    op.create_table(
        "gallery_labels",
        sa.Column("sort", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("picture", whole, sa.ForeignKey("gallery.number"), primary_key=True),
    )
    op.create_index("ix_gallery_labels_picture", "gallery_labels", ["picture"])
    op.create_table(
        "gallery_sources",
        sa.Column("picture", whole, sa.ForeignKey("gallery.number"), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
    )
    op.create_index("ix_gallery_sources_digest", "gallery_sources", ["digest"])
    op.create_table(
        "gallery_marks",
        sa.Column("sort", sa.String(16), primary_key=True),
        sa.Column("picture", whole, sa.ForeignKey("gallery.number"), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_gallery_marks_picture", "gallery_marks", ["picture"])
    for statement in WORDS[op.get_bind().dialect.name]:
        op.execute(statement)
