# A party that acts many times in one transaction, so that a chain full of real orders is made in minutes.
# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Crowd
@license Apache-2.0
@notice For local chains only: anyone may make it buy, deliver, confirm and cancel, so it must own nothing of worth.
"""

from ethereum.ercs import IERC20

interface Escrow:
    def createOrder(
        seller: address, token: address, amount: uint256, productHash: bytes32, orderRef: bytes32
    ) -> uint256: nonpayable
    def sellerConfirmDelivery(orderId: uint256, deliveryHash: bytes32): nonpayable
    def buyerConfirmReceived(orderId: uint256): nonpayable
    def cancelOrder(orderId: uint256): nonpayable

MOST: constant(uint256) = 50


@external
def allow(token: address, escrow: address):
    """
    @notice Lets the escrow take the crowd's tokens.
    """
    assert extcall IERC20(token).approve(escrow, max_value(uint256), default_return_value=True), "refused"


@external
def buy(
    escrow: address, seller: address, token: address, amount: uint256, productHash: bytes32, reference: uint256,
    count: uint256,
):
    """
    @notice Makes `count` orders. Their references count up from `reference`, which is 16 bytes; 0 stands for none.
    """
    for n: uint256 in range(count, bound=MOST):
        orderRef: bytes32 = empty(bytes32)
        if reference != 0:
            orderRef = convert((reference + n) << 128, bytes32)
        extcall Escrow(escrow).createOrder(seller, token, amount, productHash, orderRef)


@external
def deliver(escrow: address, first: uint256, count: uint256):
    """
    @notice Confirms the delivery of orders `first` and up.
    """
    for n: uint256 in range(count, bound=MOST):
        extcall Escrow(escrow).sellerConfirmDelivery(first + n, keccak256(convert(first + n, bytes32)))


@external
def confirm(escrow: address, first: uint256, count: uint256):
    """
    @notice Confirms the receipt of orders `first` and up.
    """
    for n: uint256 in range(count, bound=MOST):
        extcall Escrow(escrow).buyerConfirmReceived(first + n)


@external
def cancel(escrow: address, first: uint256, count: uint256):
    """
    @notice Cancels orders `first` and up.
    """
    for n: uint256 in range(count, bound=MOST):
        extcall Escrow(escrow).cancelOrder(first + n)
