"""How fast the Python SDK publishes: a loop of `publish_task`, one after another.

Usage: sdk_loop.py RPC_URL PIN_URL SOURCE COUNT

CLIENT_PRIVATE_KEY signs. Prints one JSON object with the tasks published and the seconds taken.
"""

import json
import os
import sys
import time

from eth_account import Account
from ogpu.client import TaskInfo, TaskInput, publish_task

import sdk


def main() -> None:
    rpc, pin, source, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    key = os.environ["CLIENT_PRIVATE_KEY"]
    sdk.use(rpc, pin)
    sdk.fill_vault(Account.from_key(key).address, 10, key)
    started = time.monotonic()
    for number in range(count):
        config = TaskInput(function_name="echo", data={"number": number})
        expiry = int(time.time()) + 3600
        publish_task(TaskInfo(source, config, expiry, sdk.COIN // 1000), key)
    print(json.dumps({"tasks": count, "seconds": round(time.monotonic() - started, 3)}))


if __name__ == "__main__":
    main()
