"""Whole-process benchmarks of ogflow: planning, the devnet, publishing to anvil, resuming.

Usage: run.py OGFLOW [plan] [devnet] [anvil]

Prints one line a figure. Every ratio is of rates measured in the same run, so that it holds on a busy machine.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "interop"))
OGFLOW = str(Path(sys.argv[1]).resolve())
PARTS = sys.argv[2:] or ["plan", "devnet", "anvil"]
COIN = 10**18
# Where the pin service of a benchmark keeps its files: its disk is not what is measured.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

PIPELINE = """version: 1
name: bench
params:
  source: {{ type: string, default: "builtin:echo" }}
budget: {{ max: 10000 OGPU }}
limits: {{ in_flight: 20000{limits} }}
steps:
  echo:
    source: "{{{{ params.source }}}}"
    function: echo
    foreach: {{ file: rows.csv, key: id }}
    payment: 0.001 OGPU
    expires: 1h
    data: {{ text: "{{{{ item.text }}}}", number: "{{{{ index }}}}" }}
"""


# Nothing but the machine limits a run against anvil.
LAB_LIMITS = ", publish_rate: 100000/s, burst: 100000, pin_rate: 100000/s, rpc_rate: 100000/s"


def lab_settings(rpc: str, pin: str, places: dict[str, str]) -> str:
    return f"""[networks.lab]
chain_id = 31337
rpc = ["{rpc}"]
pin_url = "{pin}/file/create"
gateways = ["{pin}/ipfs/"]
allow_private_hosts = true
nexus = "{places['Nexus']}"
controller = "{places['Controller']}"
terminal = "{places['Terminal']}"
vault = "{places['Vault']}"
finality = "depth:2"
symbol = "OGPU"
window = 4096
rpc_batch = 100
real_money = false

[limits]
publish_rate = "100000/s"
burst = 100000
pin_rate = "100000/s"
"""


def project(folder: str, rows: int, limits: str = "") -> None:
    with open(f"{folder}/rows.csv", "w", encoding="utf-8") as file:
        file.write("id,text,stars\n")
        for row in range(rows):
            file.write(f'r{row:07d},"The parcel of customer {row} came late, ""well packed"".",{row % 5}\n')
    Path(folder, "p.yaml").write_text(PIPELINE.format(limits=limits), encoding="utf-8")


def measured(folder: str, *args: str) -> tuple[float, float, int]:
    """Runs ogflow; seconds, peak memory in MB, exit code."""
    started = time.monotonic()
    with open(f"{folder}/log", "wb") as log:
        child = subprocess.Popen([OGFLOW, *args], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
    return time.monotonic() - started, usage.ru_maxrss / 1000, os.waitstatus_to_exitcode(status)


def say(what: str, figure: str) -> None:
    print(f"{what:<58} {figure}", flush=True)


def bench_plan() -> None:
    for rows in (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            project(folder, rows)
            seconds, peak, code = measured(folder, "plan", "p.yaml")
            assert code == 0, Path(folder, "log").read_text()
            say(f"plan, {rows:,} rows of CSV", f"{seconds:.2f} s, peak {peak:.0f} MB")


def bench_devnet(rows: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project(folder, rows)
        seconds, peak, code = measured(folder, "run", "p.yaml", "--progress", "none")
        assert code == 0, Path(folder, "log").read_text()
        say(f"devnet end to end, {rows:,} tasks", f"{rows / seconds:.0f} tasks/s, {seconds:.1f} s, peak {peak:.0f} MB")
        seconds, peak, code = measured(folder, "resume")
        assert code == 0, Path(folder, "log").read_text()
        say(f"resume of that finished run", f"{seconds:.2f} s, peak {peak:.0f} MB")


@contextlib.contextmanager
def pin_service():
    """The pin endpoint and gateway of a devnet of its own; gives its URL."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        child = subprocess.Popen([OGFLOW, "devnet", "up", "--port", "0", "--json"], cwd=folder,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            yield json.loads(child.stdout.readline())["url"]
        finally:
            child.kill()
            child.wait()


def bench_anvil(count: int = 12_000, sdk_count: int = 20) -> None:
    from eth_account import Account
    from ogpu.client import DeliveryMethod
    from ogpu.protocol._base import load_contract
    from web3 import Web3

    import anvil_provider as lab
    import sdk

    port = 18_545
    rpc = f"http://127.0.0.1:{port}"
    anvil = subprocess.Popen(
        [str(ROOT / "tests/interop/node_modules/.bin/anvil"), "--block-time", "1", "--gas-limit", "100000000000",
         "--silent", "--port", str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    services = contextlib.ExitStack()
    try:
        pin = services.enter_context(pin_service())
        node = lab.Node(rpc)
        for _ in range(100):
            try:
                node.call(("eth_chainId", []))
                break
            except Exception:  # anvil is not listening yet
                time.sleep(0.1)
        lab.deploy(node)
        sdk.use(rpc, f"{pin}/file/create")
        keys = {name: lab.key_of(name) for name in ("owner", "plain", "ogflow", "sdk")}
        for key in keys.values():
            node.call(("anvil_setBalance", [Account.from_key(key).address, hex(10_000 * COIN)]))
        source = str(sdk.new_source("bench", keys["owner"], DeliveryMethod.FIRST_RESPONSE))
        for name in ("plain", "ogflow", "sdk"):
            sdk.fill_vault(Account.from_key(keys[name]).address, 1_000, keys[name])

        def mined(address: str) -> int:
            return int(node.call(("eth_getTransactionCount", [address, "latest"]))[0], 16)

        def until(address: str, goal: int) -> None:
            while mined(address) < goal:
                time.sleep(0.05)

        # The same transactions, signed before, sent in batches of 100 by a client that does nothing else: before,
        # between and after ogflow's, so that a machine that grows slower or faster meanwhile does not decide.
        account = Account.from_key(keys["plain"])
        controller = load_contract("ControllerAbi")
        url = f"{pin}/ipfs/" + "Q" * 46
        task = (source, url, int(time.time()) + 3600, COIN // 1000)
        data = controller.encode_abi("publishTask", args=[task])
        first = mined(account.address)
        raw = []
        for nonce in range(first, first + count):
            signed = account.sign_transaction({
                "chainId": 31337, "nonce": nonce, "to": controller.address, "value": 0, "gas": 1_500_000,
                "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 0, "data": data})
            raw.append("0x" + bytes(signed.raw_transaction).hex())

        def send_plainly() -> float:
            started = time.monotonic()
            for at in range(0, count, 100):
                node.call(*(("eth_sendRawTransaction", [tx]) for tx in raw[at : at + 100]))
            until(account.address, first + count)
            return time.monotonic() - started

        def run_ogflow() -> float:
            address = Account.from_key(keys["ogflow"]).address
            with tempfile.TemporaryDirectory() as folder:
                project(folder, count, LAB_LIMITS)
                Path(folder, "ogflow.toml").write_text(lab_settings(rpc, pin, lab.PLACES), encoding="utf-8")
                before = mined(address)
                environment = {**os.environ, "OGFLOW_PRIVATE_KEY": keys["ogflow"], "XDG_STATE_HOME": folder}
                with open(f"{folder}/log", "wb") as log:
                    child = subprocess.Popen(
                        [OGFLOW, "run", "p.yaml", "--network", "lab", "--yes", "--max-spend", "900 OGPU",
                         "--param", f"source={source}", "--progress", "none"],
                        cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
                started = None
                while child.poll() is None and started is None:
                    if int(node.call(("eth_getTransactionCount", [address, "pending"]))[0], 16) > before:
                        started = time.monotonic()
                    time.sleep(0.02)
                while child.poll() is None and mined(address) < before + count:
                    time.sleep(0.1)
                assert child.poll() is None, Path(folder, "log").read_text()
                seconds = time.monotonic() - started
                # Nobody works on these tasks: the run is left as after a crash.
                child.send_signal(signal.SIGKILL)
                child.wait()
                return seconds

        # Each one on the same state of the chain.
        def again(what) -> float:
            snapshot = node.call(("evm_snapshot", []))[0]
            seconds = what()
            node.call(("evm_revert", [snapshot]))
            return seconds

        plainly, ours = again(send_plainly), 0.0
        for _ in range(2):
            ours += again(run_ogflow)
            plainly += again(send_plainly)
        plain, ours = 3 * count / plainly, 2 * count / ours
        say("anvil, signed before, batches of 100 by a trivial client", f"{plain:.0f} tasks/s")
        say("anvil, ogflow, first byte sent to last task mined", f"{ours:.0f} tasks/s, ratio {ours / plain:.2f}")

        loop = [sys.executable, str(ROOT / "tests/interop/sdk_loop.py"), rpc, f"{pin}/file/create", source, str(sdk_count)]
        out = subprocess.run(loop, env={**os.environ, "CLIENT_PRIVATE_KEY": keys["sdk"]}, capture_output=True, check=True)
        told = json.loads(out.stdout.splitlines()[-1])
        theirs = told["tasks"] / told["seconds"]
        say("anvil, the Python SDK's publish_task in a loop", f"{theirs:.2f} tasks/s, ratio {theirs / plain:.4f}")
    finally:
        anvil.kill()
        services.close()


for part in PARTS:
    {"plan": bench_plan, "devnet": bench_devnet, "anvil": bench_anvil}[part]()
