"""What the vendor's Python client does with one calendar, whichever provider it is of, and how it is checked."""
import asyncio
from datetime import datetime, timezone

from mobiscroll_connect import MobiscrollConnectError, NotFoundError, ValidationError

WINDOW = {"start": datetime(2025, 11, 1, tzinfo=timezone.utc), "end": datetime(2025, 12, 1, tzinfo=timezone.utc)}
DONE = []


def check(what, got, wanted=True):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"
    DONE.append(what)


class Adapter:
    """Lets one script drive both clients: every call is awaited where it can be."""

    def __init__(self, client):
        self.client = client

    async def __call__(self, path, *args, **kwargs):
        target = self.client
        for name in path.split("."):
            target = getattr(target, name)
        result = target(*args, **kwargs)
        return await result if asyncio.iscoroutine(result) else result


def utc(day, hour=9):
    return datetime(2025, 11, day, hour, tzinfo=timezone.utc)


async def events(call, work, original):
    """Events of one calendar, from create to delete; `original` says whether the provider's own event is what it should be."""
    where = {"provider": work.provider, "calendar_id": work.id}
    made = []
    for day in range(3, 8):
        made.append(await call("events.create", {
            **where, "title": f"Day {day}", "start": utc(day), "end": utc(day, 10), "description": "About", "location": "Room",
            "attendees": ["bob@example.org"], "custom": {"day": day, "nested": {"list": [1, "a", None, 1.5, True]}},
            "conference": "https://meet.example.org/x", "privacy": "private", "availability": "free",
        }))
    first = made[0]
    check("title", first.title, "Day 3")
    check("start", first.start, utc(3))
    check("end", first.end, utc(3, 10))
    check("custom", first.custom, {"day": 3, "nested": {"list": [1, "a", None, 1.5, True]}})
    check("conference", first.conference, "https://meet.example.org/x")
    check("privacy and availability", (first.privacy, first.availability), ("private", "free"))
    check("attendees", [a.email for a in first.attendees if not a.organizer], ["bob@example.org"])
    check("original", bool(original(first.original)))

    ids = {"calendar_ids": {work.provider: [work.id]}}
    page = await call("events.list", **WINDOW, **ids, page_size=2)
    check("first page", [event.title for event in page], ["Day 3", "Day 4"])
    check("more", page.has_more)
    seen = [event.title for event in page]
    while page.has_more:
        page = await call("events.list", **WINDOW, **ids, page_size=2, next_page_token=page.next_page_token)
        seen += [event.title for event in page]
    check("every page", seen, [f"Day {day}" for day in range(3, 8)])
    check("another calendar only", len(await call("events.list", **WINDOW, calendar_ids={work.provider: ["unknown"]})), 0)

    changed = await call("events.update", {**where, "event_id": first.id, "title": "Changed"})
    check("update", (changed.title, changed.location, changed.custom), ("Changed", "Room", first.custom))
    for event in made:
        await call("events.delete", {**where, "event_id": event.id})
    check("deleted", len(await call("events.list", **WINDOW, **ids)), 0)


async def series(call, work):
    where = {"provider": work.provider, "calendar_id": work.id}
    ids = {"calendar_ids": {work.provider: [work.id]}}
    master = await call("events.create", {
        **where, "title": "Standup", "start": utc(10), "end": utc(10, 10), "recurrence": {"frequency": "DAILY", "count": 6},
    })

    async def instances():
        return [event for event in (await call("events.list", **WINDOW, **ids)).events if event.title != "Other"]

    async def titles():
        return [event.title for event in await instances()]

    listed = await instances()
    check("instances", [event.start.day for event in listed], [10, 11, 12, 13, 14, 15])
    check("their series", {event.recurring_event_id for event in listed}, {master.id})
    one = await call("events.update", {
        **where, "event_id": listed[1].id, "recurring_event_id": master.id, "update_mode": "this", "title": "Special",
        "start": utc(11, 14), "end": utc(11, 15),
    })
    check("this", (one.title, one.start, one.id), ("Special", utc(11, 14), listed[1].id))
    check("only this", await titles(), ["Standup", "Special", "Standup", "Standup", "Standup", "Standup"])
    later = await call("events.update", {
        **where, "event_id": listed[3].id, "recurring_event_id": master.id, "update_mode": "following", "title": "Later",
    })
    check("following", later.title, "Later")
    check("only following", await titles(), ["Standup", "Special", "Standup", "Later", "Later", "Later"])
    everything = await call("events.update", {**where, "event_id": master.id, "update_mode": "all", "location": "Hall"})
    check("all", everything.location, "Hall")
    check("all of the first half", [event.location for event in await instances()][:3], ["Hall", "Hall", "Hall"])
    masters = [event.title for event in (await call("events.list", **WINDOW, **ids, single_events=False)).events]
    check("masters", sorted(masters), ["Later", "Standup"])

    listed = await instances()
    await call("events.delete", {**where, "event_id": listed[2].id, "recurring_event_id": master.id, "delete_mode": "this"})
    check("deleted this", await titles(), ["Standup", "Special", "Later", "Later", "Later"])
    listed = await instances()
    await call("events.delete", {
        **where, "event_id": listed[3].id, "recurring_event_id": listed[3].recurring_event_id, "delete_mode": "following",
    })
    check("deleted following", await titles(), ["Standup", "Special", "Later"])
    await call("events.delete", {**where, "event_id": listed[4].recurring_event_id, "delete_mode": "all"})
    await call("events.delete", {**where, "event_id": master.id})
    check("deleted all", await titles(), [])


async def failures(call, work):
    async def fails(kind, path, *args, **kwargs):
        try:
            await call(path, *args, **kwargs)
        except MobiscrollConnectError as error:
            check(f"{path} fails with {kind.__name__}", type(error), kind)
            assert error.message, "an error without message"
            return error
        raise AssertionError(f"{path} did not fail")

    where = {"provider": work.provider, "calendar_id": work.id}
    error = await fails(ValidationError, "events.create", {
        **where, "title": "x", "start": utc(3), "end": utc(2),
    })
    check("details name the field", error.details["field"], "end")
    await fails(NotFoundError, "events.update", {**where, "event_id": "nothing", "title": "x"})
    await fails(NotFoundError, "events.create", {
        "provider": work.provider, "calendar_id": "https://example.org/none/", "title": "x", "start": utc(3), "end": utc(4),
    })
    await fails(ValidationError, "events.list", next_page_token="altered")
