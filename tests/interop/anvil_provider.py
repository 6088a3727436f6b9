"""A foreign network for ogflow: our contracts on anvil, and providers that speak the SDK's ABIs.

Usage: anvil_provider.py RPC_URL PIN_URL [PROVIDERS]

Writes contracts/artifacts into the node at the testnet's addresses (they have no constructors), has
the SDK publish a manual source, registers the providers, fills a wallet for the client, and prints one JSON
line: {"source": ..., "providers": [...], "client": ..., "client_key": ...}. Then it works until its standard
input ends: every task of the source is attempted, VADER does the work, the output is pinned and submitted.
Every second provider claims nine tenths of the payment.
"""

import json
import sys
import threading
import time
from pathlib import Path

import requests
from eth_account import Account
from ogpu.client import DeliveryMethod
from ogpu.ipfs import publish_to_ipfs
from ogpu.protocol import Provider
from ogpu.protocol._base import load_contract
from web3 import Web3

import sdk
import vader

ARTIFACTS = Path(__file__).resolve().parents[2] / "contracts" / "artifacts"
PLACES = {
    "Nexus": "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1",
    "Controller": "0x9fb6022074Fd7Bdb429de0776eb693cA0CB55E09",
    "Terminal": "0x1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52",
    "Vault": "0x15905a2FbD3EF5d3532b931b5656BB9EB493Bb15",
    "Source": "0x0000000000000000000000000000000000C0De01",
    "Task": "0x0000000000000000000000000000000000c0De02",
    "Response": "0x0000000000000000000000000000000000c0De03",
}
HANDLERS = {
    "score": lambda data: vader.score(data["text"]),
    "summarise": lambda data: vader.summarise(data["compounds"]),
    "echo": lambda data: data,
}


def key_of(name: str) -> str:
    """A key that only this chain knows."""
    return Web3.to_hex(Web3.keccak(text=f"ogflow interop {name}"))


class Node:
    """JSON-RPC in batches, which the SDK does not do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()

    def call(self, *requests_: tuple[str, list]) -> list:
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(requests_)
        ]
        replies = self.http.post(self.url, json=body, timeout=60).json()
        replies.sort(key=lambda reply: reply["id"])
        for reply in replies:
            if "error" in reply:
                raise RuntimeError(reply["error"])
        return [reply["result"] for reply in replies]


def deploy(node: Node) -> None:
    for name, place in PLACES.items():
        artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
        node.call(("anvil_setCode", [place, artifact["deployedBytecode"]]))


class Crew:
    def __init__(self, node: Node, source: str, keys: list[str]) -> None:
        self.node = node
        self.source = source
        self.accounts = [Account.from_key(key) for key in keys]
        self.nexus = load_contract("NexusAbi")
        self.http = requests.Session()
        counts = [("eth_getTransactionCount", [a.address, "latest"]) for a in self.accounts]
        self.nonces = [int(count, 16) for count in node.call(*counts)]
        [chain] = node.call(("eth_chainId", []))
        self.chain_id = int(chain, 16)
        self.turn = 0

    def signed(self, who: int, function: str, args: list, gas: int, max_fee: int) -> str:
        transaction = {
            "chainId": self.chain_id,
            "nonce": self.nonces[who],
            "to": self.nexus.address,
            "value": 0,
            "gas": gas,
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": 0,
            "data": self.nexus.encode_abi(function, args=args),
        }
        self.nonces[who] += 1
        raw = self.accounts[who].sign_transaction(transaction).raw_transaction
        return "0x" + bytes(raw).hex()

    def work(self, task: str, config_url: str, payment: int, max_fee: int) -> list[str]:
        """The signed transactions for one task: an attempt, and a response unless the work fails."""
        who, self.turn = self.turn % len(self.accounts), self.turn + 1
        provider = self.accounts[who].address
        sent = [self.signed(who, "attempt", [task, provider, payment], 400_000, max_fee)]
        config = self.http.get(config_url, timeout=30).json()
        handler = HANDLERS.get(config["function_name"])
        if handler is None:
            return sent
        link = publish_to_ipfs(handler(config["data"]))
        claim = payment if who % 2 == 0 else payment * 9 // 10
        response = (task, provider, link, claim)
        sent.append(self.signed(who, "submitResponse", [response], 900_000, max_fee))
        return sent

    def turn_over(self, first: int, last: int) -> None:
        """Works on every task of the source that these blocks published."""
        where = {"address": self.nexus.address, "fromBlock": hex(first), "toBlock": hex(last)}
        topic = {"topics": [Web3.to_hex(Web3.keccak(text="TaskPublished(address,address)"))]}
        logs, block = self.node.call(
            ("eth_getLogs", [where | topic]), ("eth_getBlockByNumber", ["latest", False])
        )
        max_fee = 2 * int(block["baseFeePerGas"], 16) + 1
        tasks = [
            Web3.to_checksum_address("0x" + log["data"][26:66])
            for log in logs
            if log["data"][-40:].lower() == self.source[2:].lower()
        ]
        raw = []
        for task in tasks:
            contract = load_contract("TaskAbi", task)
            _, config_url, _, payment = contract.functions.taskParams().call()
            raw += self.work(task, config_url, payment, max_fee)
        for at in range(0, len(raw), 100):
            self.node.call(*(("eth_sendRawTransaction", [tx]) for tx in raw[at : at + 100]))


def main() -> None:
    rpc, pin = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    node = Node(rpc)
    deploy(node)
    sdk.use(rpc, pin)
    owner, keys = key_of("owner"), [key_of(f"provider {n}") for n in range(count)]
    client = key_of("client")
    for key in [owner, client, *keys]:
        node.call(("anvil_setBalance", [Account.from_key(key).address, hex(1000 * sdk.COIN)]))
    source = sdk.new_source("vader", owner, DeliveryMethod.MANUAL_CONFIRMATION)
    for key in keys:
        Provider(Account.from_key(key).address).register_to(str(source), 1, signer=key)
    crew = Crew(node, str(source), keys)
    ready = {
        "source": str(source),
        "providers": [account.address for account in crew.accounts],
        "client": Account.from_key(client).address,
        "client_key": client,
    }
    print(json.dumps(ready), flush=True)

    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    done = 0
    while not over.is_set():
        head = int(node.call(("eth_blockNumber", []))[0], 16)
        if head > done:
            crew.turn_over(done + 1, head)
            done = head
        over.wait(0.1)


if __name__ == "__main__":
    main()
