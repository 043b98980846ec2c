"""The two ends of workflows/expense-approval: somebody is asked, and somebody is paid."""

import asyncio
import json
from typing import Any

from eventmill import HandlerContext, handler
from handlers.project_files import project, write_durably


@handler
async def ask_for_approval(event: dict[str, Any], context: HandlerContext) -> dict[str, str]:
    """Put a question into data/approvals; the token in it answers it.

    Whoever decides sends the answer with SendTaskSuccess: `{"approved": true, "by": "Ada"}`.
    """
    expense = event["expense"]
    question = {"expense": expense, "token": event["token"], "answer": {"approved": True, "by": ""}}
    path = project() / "data" / "approvals" / f"{expense['id']}.json"
    await asyncio.to_thread(write_durably, path, json.dumps(question, indent=2).encode() + b"\n")
    return {"question": str(path)}


@handler
async def pay_expense(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Pay; the idempotency key is the reference, so a repetition pays nothing twice."""
    return {"paid": event["amount"], "reference": context.idempotency_key}
