"""The words of `entrepot chain`: puts the contracts on a chain, and tells where they are."""

from pathlib import Path
from typing import Annotated

import typer

from entrepot.kernel.command import done_by

KEY_VARIABLE = "ENTREPOT_DEPLOYER_KEY"
group = typer.Typer(no_args_is_help=True, help="The contracts on the chains: deploy, keeper, status.")


@group.command()
@done_by("entrepot.commands.chain:deploy")
def deploy(
    chain: Annotated[str, typer.Option(help="The chain, by its name in ENTREPOT_CHAINS.")],
    token: Annotated[list[str] | None, typer.Option(help="What buyers may pay with: SYMBOL=0x...; repeatable.")] = None,
    treasury: Annotated[str, typer.Option(help="Who receives the platform fee; the deployer if not given.")] = "",
    stake: Annotated[str, typer.Option(help="What arbitrators stake, one of the tokens; USDT if not given.")] = "",
    fee_bps: Annotated[int, typer.Option(min=0, max=1000, help="Platform fee in hundredths of a percent.")] = 200,
    key_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help=f"Holds the deployer's key; or {KEY_VARIABLE}.")
    ] = None,
    *,
    test_tokens: Annotated[bool, typer.Option("--test-tokens", help="Deploy tokens that anyone may mint.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Deploy although one is there, which holds nothing.")] = False,
) -> None:
    """Deploy the arbitrators' pool and the escrow contract, and allow its tokens; goes on where an earlier one ended.

    Exit status: 0 deployed, 1 refused or failed, 2 bad usage.
    """


@group.command()
@done_by("entrepot.commands.chain:keeper")
def keeper(
    key_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Holds a key to use; a new one is made if not.")
    ] = None,
) -> None:
    """Tell the keeper's address, and make its key where there is none; it pays the gas for ending what is overdue.

    The key is sealed in the database. Exit status: 0 done, 1 the database does not answer, 2 bad usage.
    """


@group.command()
@done_by("entrepot.commands.chain:status")
def status(*, json: Annotated[bool, typer.Option("--json", help="Answer JSON.")] = False) -> None:
    """Tell for every chain whether it answers, what is deployed there, and how far it is mirrored.

    Exit status: 0 all is well, 1 something is not, 2 a setting cannot be used.
    """
