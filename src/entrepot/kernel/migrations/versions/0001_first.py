"""The kernel's own tables."""

from entrepot.kernel.upkeep.sql import run

revision = "core_0001"
down_revision = None


def upgrade() -> None:
    """There."""
    run(__file__, "up")


def downgrade() -> None:
    """And back."""
    run(__file__, "down")
