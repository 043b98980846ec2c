"""The check of workflows/catalog-import: one row of a catalog."""

from decimal import Decimal, InvalidOperation
from typing import Any

from eventmill import HandlerContext, HandlerError, handler


@handler
async def check_product(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """The product of a row, with its price in cents.

    Raises:
        HandlerError: ProductInvalid, with the row and what is wrong.
    """
    product, where = event["product"], f"row {event['row']} of {event['source']}"
    if not product.get("name"):
        raise HandlerError("ProductInvalid", f"{where}: the name is missing")
    try:
        cents = int(Decimal(product["price"]) * 100)
    except InvalidOperation:
        cause = f"{where}: the price must be a number such as 12.50, not {product['price']!r}"
        raise HandlerError("ProductInvalid", cause) from None
    return {"sku": product["sku"], "name": product["name"], "cents": cents}
