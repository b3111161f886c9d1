"""A client that writes through the writer's VIP until TERM, one row after another, and says what came of it.

    writer.py HOST USER PASSWORD

Prints a JSON object: `written` rows, `failed` attempts, and `longest`, the seconds of the longest time without a row.
"""

import json
import signal
import sys
import time

import pymysql


def main() -> None:
    """Write, and say what came of it."""
    host, user, password = sys.argv[1:]
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    written, failed, longest, last, connection = 0, 0, 0.0, time.monotonic(), None
    print("writing", flush=True)
    while not ended:
        try:
            connection = connection or pymysql.connect(
                host=host, user=user, password=password, autocommit=True, connect_timeout=2, read_timeout=2
            )
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO shop.rows (n) VALUES (%s)", (written,))
        except (pymysql.err.Error, OSError):
            failed, connection = failed + 1, None
            time.sleep(0.1)
            continue
        now = time.monotonic()
        written, longest, last = written + 1, max(longest, now - last), now
        time.sleep(0.02)
    print(json.dumps({"written": written, "failed": failed, "longest": round(longest, 3)}))


if __name__ == "__main__":
    main()
