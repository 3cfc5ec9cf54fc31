"""Messages as signed webhooks."""

from mainspring.adapters.notify_webhook.channel import WebhookChannel

__all__ = ["WebhookChannel"]
