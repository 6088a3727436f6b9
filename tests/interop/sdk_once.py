"""One call of the Python SDK's `publish_task`, behind whatever RPC_URL is.

Usage: sdk_once.py RPC_URL PIN_URL SOURCE

CLIENT_PRIVATE_KEY signs; its vault has to hold the payment. Prints one JSON object: what the caller saw.
"""

import json
import os
import sys
import time

from ogpu.client import TaskInfo, TaskInput, publish_task

import sdk


def main() -> None:
    rpc, pin, source = sys.argv[1:4]
    sdk.use(rpc, pin)
    config = TaskInput(function_name="echo", data={"text": "once"})
    task = TaskInfo(source, config, int(time.time()) + 3600, sdk.COIN // 1000)
    try:
        seen = {"task": str(publish_task(task, os.environ["CLIENT_PRIVATE_KEY"]))}
    except Exception as error:  # noqa: BLE001 - whatever a caller would see
        seen = {"error": type(error).__name__}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
