"""What the chain says about every task of a source, read with the Python SDK. Prints one JSON object.

Usage: chain_audit.py RPC_URL SOURCE CLIENT

Amounts are decimal strings of wei. `paid` is what the winning response claimed.
"""

import json
import sys

from ogpu.chain import WEB3
from ogpu.client import Source
from ogpu.protocol import vault

import sdk


def audit(task) -> dict:
    responses = task.get_responses()
    confirmed = next((r for r in responses if r.is_confirmed()), None)
    params = confirmed.get_params() if confirmed else None
    return {
        "status": task.get_status().name,
        "payment_wei": str(task.get_payment()),
        "attempts": task.get_attempt_count(),
        "responses": len(responses),
        "response": str(confirmed) if confirmed else None,
        "provider": params.provider if params else None,
        "paid_wei": str(params.payment) if params else "0",
        "data": params.data if params else None,
    }


def main() -> None:
    rpc, source_address, client = sys.argv[1:4]
    sdk.use(rpc, "")
    source = Source(source_address)
    tasks = source.get_tasks()
    providers = source.get_registrants()
    report = {
        "tasks": {str(task): audit(task) for task in tasks},
        "wallet_wei": str(WEB3().eth.get_balance(client)),
        "vault_wei": str(vault.get_balance_of(client)),
        "frozen_wei": str(vault.get_frozen_payment(client)),
        "earned_wei": str(sum(vault.get_total_earnings_of(p) for p in providers)),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
