"""python-dateutil as a peer of lunation.rrule: questions and answers are JSON lines.

{"dtstart": "2024-01-01T09:00:00", "rrule": "FREQ=…", "limit": 50} --> {"times": ["2024-01-01T09:00:00", …]},
{"timeout": true} where it found no answer in time, or {"error": "…"}. Times are local; with a "tzid" they are made UTC by
Python's zoneinfo, which takes the offset before a gap and the first of two equal times as RFC 5545 section 3.3.5 does.
"""
import itertools
import json
import signal
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

SECONDS = 0.2


class TooLong(Exception):
    pass


def stop(_signal, _frame):
    raise TooLong()


def answer(question):
    times = []
    zone = ZoneInfo(question["tzid"]) if "tzid" in question else None
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        rule = rrulestr(question["rrule"], dtstart=datetime.fromisoformat(question["dtstart"]))
        for time in itertools.islice(rule, question["limit"]):
            if zone:
                time = time.replace(tzinfo=zone).astimezone(timezone.utc).replace(tzinfo=None)
            times.append(time.isoformat() + ("Z" if zone else ""))
        return {"times": times}
    except TooLong:
        return {"timeout": True, "times": times}
    except Exception as error:  # pylint: disable=broad-except
        return {"error": repr(error)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


signal.signal(signal.SIGALRM, stop)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
