"""The vendor's own Python client, unmodified, against a server with a CalDAV account: its whole round, sync and async."""
import asyncio
import json
import sys
from datetime import datetime, timezone

from mobiscroll_connect import (
    AuthenticationError,
    MobiscrollConnectClient,
    MobiscrollConnectError,
    NotFoundError,
    TokenResponse,
    ValidationError,
)
from mobiscroll_connect.aio import AsyncMobiscrollConnectClient

from browser import authorize

setting = json.loads(sys.argv[1])
REDIRECT = setting["redirect_uri"]
CLIENT = {
    "client_id": setting["client_id"], "client_secret": setting["client_secret"], "redirect_uri": REDIRECT,
    "base_url": setting["base_url"],
}
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


async def connect(client, call, user):
    address = client.auth.generate_auth_url(user, state="the state", providers="caldav", lng="de")
    code, state = authorize(address, REDIRECT, "caldav", setting["account"])
    check("state comes back", state, "the state")
    tokens = await call("auth.get_token", code)
    check("token type", tokens.token_type, "Bearer")
    check("lifetime", tokens.expires_in, 3600)
    check("a refresh token", bool(tokens.refresh_token))
    return tokens


async def reading(call):
    calendars = await call("calendars.list")
    check("calendars", {"Home", "Work"} <= {calendar.title for calendar in calendars})
    check("provider of the calendars", {calendar.provider for calendar in calendars}, {"caldav"})
    work = next(calendar for calendar in calendars if calendar.title == "Work")
    status = await call("auth.get_connection_status")
    account = status.connections["caldav"][0]
    check("connection status", (account.sync_state, status.limit_reached), ("active", False))
    check("the other providers", [status.connections[name] for name in ("google", "microsoft", "apple")], [[], [], []])
    return work, account


async def events(call, work):
    where = {"provider": "caldav", "calendar_id": work.id}
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
    check("original", "BEGIN:VEVENT" in first.original["ics"])

    ids = {"calendar_ids": {"caldav": [work.id]}}
    page = await call("events.list", **WINDOW, **ids, page_size=2)
    check("first page", [event.title for event in page], ["Day 3", "Day 4"])
    check("more", page.has_more)
    seen = [event.title for event in page]
    while page.has_more:
        page = await call("events.list", **WINDOW, **ids, page_size=2, next_page_token=page.next_page_token)
        seen += [event.title for event in page]
    check("every page", seen, [f"Day {day}" for day in range(3, 8)])
    check("another calendar only", len(await call("events.list", **WINDOW, calendar_ids={"caldav": ["unknown"]})), 0)

    changed = await call("events.update", {**where, "event_id": first.id, "title": "Changed"})
    check("update", (changed.title, changed.location, changed.custom), ("Changed", "Room", first.custom))
    for event in made:
        await call("events.delete", {**where, "event_id": event.id})
    check("deleted", len(await call("events.list", **WINDOW, **ids)), 0)


async def series(call, work):
    where = {"provider": "caldav", "calendar_id": work.id}
    ids = {"calendar_ids": {"caldav": [work.id]}}
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

    where = {"provider": "caldav", "calendar_id": work.id}
    error = await fails(ValidationError, "events.create", {
        **where, "title": "x", "start": utc(3), "end": utc(2),
    })
    check("details name the field", error.details["field"], "end")
    await fails(NotFoundError, "events.update", {**where, "event_id": "nothing", "title": "x"})
    await fails(NotFoundError, "events.create", {
        "provider": "caldav", "calendar_id": "https://example.org/none/", "title": "x", "start": utc(3), "end": utc(4),
    })
    await fails(ValidationError, "events.list", next_page_token="altered")


async def refreshing(client, call, tokens, kept):
    client.auth.set_credentials(TokenResponse("not.a.token", refresh_token=tokens.refresh_token))
    calendars = await call("calendars.list")
    check("a refused token is refreshed and the call repeated", len(calendars) >= 2)
    check("the application is told of the new tokens", len(kept), 1)
    check("the refresh token was rotated", kept[0].refresh_token != tokens.refresh_token)


async def ending(client, call, account, current):
    check("disconnect", (await call("auth.disconnect", "caldav", account=account.id)).success)
    status = await call("auth.get_connection_status")
    check("nothing is connected", status.connections["caldav"], [])
    check("no calendars", await call("calendars.list"), [])
    client.auth.set_credentials(TokenResponse("not.a.token", refresh_token="neither"))
    try:
        await call("calendars.list")
    except AuthenticationError:
        check("tokens that nobody issued", True)
    client.auth.set_credentials(current)


async def round_of(client, user, kept):
    call = Adapter(client)
    tokens = await connect(client, call, user)
    work, account = await reading(call)
    await events(call, work)
    await series(call, work)
    await failures(call, work)
    await refreshing(client, call, tokens, kept)
    await ending(client, call, account, kept[0])


async def main():
    kept = []
    with MobiscrollConnectClient(**CLIENT, on_tokens_refreshed=kept.append) as client:
        await round_of(client, "sdk-user", kept)
    kept = []
    async with AsyncMobiscrollConnectClient(**CLIENT, on_tokens_refreshed=kept.append) as client:
        await round_of(client, "sdk-async-user", kept)
    print(len(DONE), "checks")


asyncio.run(main())
