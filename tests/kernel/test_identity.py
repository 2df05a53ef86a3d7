"""Sign-in by wallet, as a wallet sees it."""

import aiohttp
from eth_account import Account
from eth_account.messages import encode_defunct


async def test_who_signs_the_message_is_signed_in_and_can_sign_out(api: str) -> None:
    wallet = Account.create()
    async with aiohttp.ClientSession(api + "/api/v1/") as http:
        nonce = await (await http.post("auth/nonce", json={"wallet": wallet.address})).json()
        signature = wallet.sign_message(encode_defunct(text=nonce["message"])).signature.to_0x_hex()
        key = "A" * 43 + "="
        ask = {"message": nonce["message"], "signature": signature, "public_key": key}
        answer = await http.post("auth/verify", json=ask)
        assert answer.status == 200, await answer.text()
        session = await answer.json()
        bearer = {"Authorization": f"Bearer {session['token']}"}
        me = await (await http.get("auth/me", headers=bearer)).json()
        assert me == {"wallet": wallet.address, "is_operator": False}
        assert (await http.post("auth/logout", headers=bearer)).status == 204
        assert (await http.get("auth/me", headers=bearer)).status == 401
        assert (await http.post("auth/verify", json=ask)).status == 401
