"""Sends one mail, or posts to one webhook: a program of its own for every message, which the monitor may kill.

So the monitor carries neither the libraries nor what hangs. Its order comes as JSON on stdin, for it has passwords.
Exit status: 0 taken by the receiver, and on stdout stands who is not told, if anybody; 1 not taken, and there stands
why, in one line.
"""

import json
import smtplib
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http.client import HTTPException
from typing import Any

from mmm import __version__
from mmm.process import output


def main() -> int:
    """Carry the order on stdin out; returns the exit status."""
    output.prepare()  # servers answer in any encoding
    order = json.load(sys.stdin)
    try:
        if "webhook" in order:
            post(order)
        elif refused := mail(order):
            print("; ".join(refused))
    except urllib.error.HTTPError as error:
        return _failed(f"the webhook answered {error.code} {error.reason}")
    except urllib.error.URLError as error:
        return _failed(f"the webhook cannot be reached: {error.reason}")
    except smtplib.SMTPException as error:
        return _failed(f"{order['smtp_host']}:{order['smtp_port']} did not take the mail: {_answered(error)}")
    except (OSError, HTTPException, ValueError) as error:
        return _failed(str(getattr(error, "strerror", None) or error or type(error).__name__))
    return 0


def mail(order: dict[str, Any]) -> list[str]:
    """Send the mail; returns the recipients that were refused while others were not, each with why.

    Raises OSError, SMTPException, also where all of them were refused.
    """
    host, port, limit = order["smtp_host"], order["smtp_port"], order["timeout"]
    own = socket.gethostname()
    secure = ssl.create_default_context()
    if order["smtp_tls"] == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, own, timeout=limit, context=secure)
    else:
        server = smtplib.SMTP(host, port, own, timeout=limit)
    with server:
        if order["smtp_tls"] == "starttls":
            server.starttls(context=secure)
        if order["smtp_user"]:
            server.login(order["smtp_user"], order["smtp_password"])
        refused = server.send_message(letter(order, own))
    return [f"the mail was not taken for {each}" for each in _recipients(refused)]


def _recipients(refused: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    yield from (f"{to}: {code} {why.decode(errors='replace')}" for to, (code, why) in refused.items())


def _answered(error: smtplib.SMTPException) -> str:
    """Return what the server has answered, in its words."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(_recipients(error.recipients))
    if isinstance(error, smtplib.SMTPResponseException):
        why = error.smtp_error
        return f"{error.smtp_code} {why.decode(errors='replace') if isinstance(why, bytes) else why}"
    return str(error)


def letter(order: dict[str, Any], own: str) -> EmailMessage:
    """Return the mail; `own` is this machine's name."""
    message = EmailMessage()
    message["From"] = order["mail_from"] or f"MMM <mmm@{own}>"
    message["To"] = ", ".join(order["mail_to"])
    message["Subject"] = " ".join(order["subject"].split())
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid("mmm", own)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(order["text"])
    return message


def post(order: dict[str, Any]) -> None:
    """Post to the webhook; raises OSError, HTTPException. What is sent elsewhere from there has not been taken."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Follow nothing: what comes of a POST then is a GET."""

    request = urllib.request.Request(  # noqa: S310 - the conf takes http and https only
        order["webhook"],
        json.dumps(order["body"]).encode(),
        {"Content-Type": "application/json", "User-Agent": f"mmm/{__version__}"},
        method="POST",
    )
    opener = urllib.request.build_opener(Stay)
    with opener.open(request, timeout=order["timeout"]) as answer:
        answer.read(1024)


def _failed(why: str) -> int:
    print(why)
    return 1


if __name__ == "__main__":
    sys.exit(main())
