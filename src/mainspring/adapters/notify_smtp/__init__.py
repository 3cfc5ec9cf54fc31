"""Messages as e-mail, by the standard library."""

from mainspring.adapters.notify_smtp.channel import SmtpChannel

__all__ = ["SmtpChannel"]
