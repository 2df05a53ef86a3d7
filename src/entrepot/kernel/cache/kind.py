"""What an app says of answers that may be kept: for how long, and what a writer must name to have them forgotten."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from entrepot.kernel.values import ENCODER

NAME_ENDS = b"\x00"


@dataclass(frozen=True, kw_only=True)
class Cached:
    """A kind of answers. The same input has the same answer, whoever asks."""

    name: str
    """Of its app, for instance escrow.profiles."""
    ttl: timedelta
    """No answer is served that was asked for longer ago."""
    about: str | None = None
    """The field of the input that tells which thing an answer is of, where writers forget single things."""

    def key(self, ask: msgspec.Struct | None) -> bytes:
        """The same for equal inputs, and for no others."""
        return self.name.encode() + NAME_ENDS + (b"" if ask is None else ENCODER.encode(ask))

    def tags(self, ask: msgspec.Struct | None) -> tuple[str, ...]:
        """What its answer to this input is forgotten by: the whole kind, or the one thing."""
        return (self.name,) if self.about is None else (self.name, self.tag(getattr(ask, self.about)))

    def tag(self, thing: object) -> str:
        """What answers of one thing are forgotten by."""
        return f"{self.name}:{thing}"
