"""Publishes a source and a task with the Python SDK and follows the task to its end.

Usage: sdk_publish.py RPC_URL PIN_URL manual|first

CLIENT_PRIVATE_KEY signs. Prints one JSON object: what the SDK saw on the way. On a manual source the SDK
also confirms the response.
"""

import json
import os
import sys
import time

from eth_account import Account
from ogpu.client import DeliveryMethod, TaskInfo, TaskInput, confirm_response, publish_task
from ogpu.protocol import vault
from ogpu.types import TaskStatus

import sdk

PAYMENT = sdk.COIN // 100


def main() -> None:
    rpc, pin, mode = sys.argv[1:4]
    key = os.environ["CLIENT_PRIVATE_KEY"]
    client = Account.from_key(key).address
    sdk.use(rpc, pin)
    sdk.fill_vault(client, 1, key)
    delivery = {
        "manual": DeliveryMethod.MANUAL_CONFIRMATION,
        "first": DeliveryMethod.FIRST_RESPONSE,
    }[mode]
    source = sdk.new_source(f"sdk-{mode}", key, delivery)
    sdk.wait_for("registered provider", 30, source.get_registrant_count)

    before = vault.get_balance_of(client)
    data = {"message": 'Grüße, "quoted"\nsecond line', "list": [1, 2.5, None, True]}
    config = TaskInput(function_name="echo", data=data, priority="high")
    expiry = int(time.time()) + 600
    task = publish_task(TaskInfo(str(source), config, expiry, PAYMENT), key)

    seen = {task.get_status().name}
    response = sdk.wait_for("response", 30, task.get_responses)[0]
    seen.add(task.get_status().name)
    if delivery is DeliveryMethod.MANUAL_CONFIRMATION:
        confirm_response(str(response), key)

    def final() -> bool:
        status = task.get_status()
        seen.add(status.name)
        return status is TaskStatus.FINALIZED

    sdk.wait_for("final status", 30, final)
    confirmed = task.get_confirmed_response()
    params = confirmed.get_params()
    report = {
        "source": str(source),
        "source_status": source.get_status().name,
        "source_client": source.get_client() == client,
        "source_tasks": [str(t) for t in source.get_tasks()] == [str(task)],
        "source_name": source.get_metadata()["name"],
        "task": str(task),
        "task_config": task.get_metadata() == config.to_dict(),
        "task_payment": task.get_payment() == PAYMENT,
        "task_delivery": task.get_delivery_method().name,
        "attempters": len(task.get_attempters()),
        "statuses": sorted(seen),
        "responses": len(task.get_responses()),
        "confirmed": str(confirmed) == str(response),
        "confirmed_status": confirmed.get_status().name,
        "winner": task.get_winning_provider() == params.provider,
        "output": confirmed.fetch_data() == data,
        "vault_paid": before - vault.get_balance_of(client) == PAYMENT,
        "vault_frozen": vault.get_frozen_payment(client),
        "provider_earned": vault.get_total_earnings_of(params.provider) >= PAYMENT,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
