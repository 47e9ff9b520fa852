# The instances of a calendar in a window with recurring-ical-events: their number and sum, the seconds that it took, and before that
# those of reading the text.
import sys, time
from datetime import datetime, timezone
import icalendar, recurring_ical_events

with open(sys.argv[1], "rb") as file:
    text = file.read()
reading = time.perf_counter()
calendar = icalendar.Calendar.from_ical(text)
reading = time.perf_counter() - reading
begin, end = (datetime.fromtimestamp(int(at), timezone.utc) for at in sys.argv[2:4])
started = time.perf_counter()
found = recurring_ical_events.of(calendar).between(begin, end)
took = time.perf_counter() - started
print(len(found), sum(int(event["DTSTART"].dt.timestamp()) for event in found), "%.6f %.6f" % (took, reading))
