"""Messages as signed webhooks."""

from mainspring.adapters.notify_webhook.channel import WebhookChannel, standard_body

__all__ = ["WebhookChannel", "standard_body"]
