"""A wallet that is a contract vouches for its keys by its own word (ERC-1271)."""

from dataclasses import dataclass

from eth_account.messages import encode_defunct

from entrepot.dev.anvil import anvil
from entrepot.kernel.settings import ChainSettings
from entrepot.kernel.wallet import checksum
from tests.apps.chat.conftest import Caller, opened_place
from tests.apps.chat.devices import Device
from tests.callers import Answer, refused
from tests.conftest import TestDatabase
from tests.kernel.test_identity import contract_wallet

LOCAL = 31337


@dataclass
class Contract(Caller):
    """Somebody whose wallet is a contract that answers for the signatures of their account."""

    address: str = ""

    @property
    def wallet(self) -> str:
        return checksum(self.address)

    async def sign_in(self, public_key: str | None = None) -> Answer:
        message = (await self.post("auth/nonce", wallet=self.wallet, chain_id=LOCAL)).body["message"]
        signature = self.account.sign_message(encode_defunct(text=message)).signature.to_0x_hex()
        answer = await self.post("auth/verify", message=message, signature=signature, public_key=public_key)
        self.token = answer.body["token"]
        return answer


async def test_a_contract_wallet_vouches_for_a_device_on_its_own_chain(database: TestDatabase) -> None:
    async with anvil() as node:
        chain = ChainSettings(name="local", chain_id=LOCAL, endpoints=(node.url,))
        async with opened_place(database, chains=(chain,)) as place:
            carol = Contract(place.http)
            carol.address = await contract_wallet(node, carol.account)
            await carol.sign_in(carol.key)
            phone, before = Device(carol), await place.snapshot()
            for chain_id in (1, 56):
                wrong = phone.handed_in(None, **phone.attested(1, chain_id), chain_id=chain_id)
                refused(await carol.put("keys", **wrong), 422, "wrong-signature", field="identity_signature")
            assert await place.snapshot() == before
            right = phone.handed_in(None, **phone.attested(1, LOCAL), chain_id=LOCAL)
            assert (await carol.put("keys", **right)).status == 200
            shown = (await (await place.member()).get(f"users/{carol.wallet}/keys")).body
            assert [(device["id"], device["chain_id"]) for device in shown["devices"]] == [(str(phone.id), LOCAL)]
