"""Points the unmodified Python SDK at a local chain.

The SDK knows two networks. The local chain carries the testnet's addresses, so the testnet it is; web3
takes the chain id from the node. The pin endpoint is a constant of a module, which is set here.
"""

import time

import ogpu.ipfs.publish as pinning
from ogpu import ChainConfig, ChainId
from ogpu.client import DeliveryMethod, ImageEnvironments, SourceInfo, publish_source
from ogpu.protocol import vault

COIN = 10**18


def use(rpc: str, pin: str) -> None:
    ChainConfig.set_chain(ChainId.OGPU_TESTNET)
    ChainConfig.set_rpc(rpc)
    pinning._IPFS_PUBLISH_URL = pin


def fill_vault(address: str, coins: int, key: str) -> None:
    """Deposits until the vault holds that many coins for the address."""
    missing = coins * COIN - vault.get_balance_of(address)
    if missing > 0:
        vault.deposit(address, missing, signer=key)


def new_source(name: str, key: str, delivery: DeliveryMethod):
    info = SourceInfo(
        name=name,
        description="A source of the interop tests.",
        logoUrl="",
        imageEnvs=ImageEnvironments(cpu="https://example.org/docker-compose.yml"),
        minPayment=COIN // 1000,
        minAvailableLockup=0,
        maxExpiryDuration=86400,
        deliveryMethod=delivery,
    )
    return publish_source(info, key)


def wait_for(what: str, seconds: float, read):
    """Reads until something true comes back; a deadline, so that a hang is a failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = read()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"no {what} within {seconds:.0f} s")
