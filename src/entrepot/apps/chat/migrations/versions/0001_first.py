"""The four tables of the reference, and what was added to them."""

from entrepot.kernel.upkeep.sql import run

revision = "chat_0001"
down_revision = None


def upgrade() -> None:
    """There."""
    run(__file__, "up")


def downgrade() -> None:
    """And back."""
    run(__file__, "down")
