"""Which object store the settings name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, from_url

from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store.bucket import Bucket
from entrepot.kernel.store.kubo import Kubo
from entrepot.kernel.store.objects import Objects


def objects_of(settings: Settings) -> Objects:
    """The IPFS node that the settings name, or the folder or bucket, or a folder under `home`; raises `BadSettings`."""
    if settings.ipfs_api:
        return Kubo(settings.ipfs_api)
    url = settings.objects_url or (settings.home / "objects").absolute().as_uri()
    try:
        if url.startswith("file:"):
            return Bucket(LocalStore(prefix=Path(unquote(urlsplit(url).path)), mkdir=True))
        return Bucket(from_url(url))
    except Exception as error:
        raise BadSettings(f"ENTREPOT_OBJECTS_URL: {error}") from error
